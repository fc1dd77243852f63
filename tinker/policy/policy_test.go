package policy

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"safing/tinker"
)

// Suites of the tests. A policy doesn't care whether a build has them.
const (
	tk1 tinker.SuiteID = 1
	tk2 tinker.SuiteID = 2
	tk3 tinker.SuiteID = 3
	tk4 tinker.SuiteID = 4
	tk9 tinker.SuiteID = 9
)

var start = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// An authority signs policies.
type authority struct {
	note.Signer
	note.Verifier
}

func newAuthority(t testing.TB, name string, seed byte) authority {
	t.Helper()
	secret := bytes.Repeat([]byte{seed}, ed25519.SeedSize)
	public := ed25519.NewKeyFromSeed(secret).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, verifier.KeyHash(),
		base64.StdEncoding.EncodeToString(append([]byte{1}, secret...))))
	if err != nil {
		t.Fatal(err)
	}
	return authority{signer, verifier}
}

// newPolicy returns a policy that is valid for 30 days and has the rules, of
// which those of deprecated suites end in 10 days.
func newPolicy(version uint64, rules string) *Policy {
	p := &Policy{Network: "lab.example", Version: version, Expires: start.Add(30 * day)}
	for rule := range strings.SplitSeq(rules, ", ") {
		if strings.HasSuffix(rule, " deprecated") {
			rule += " " + formatTime(start.Add(10*day))
		}
		r, err := parseRule(rule)
		if err != nil {
			panic(err)
		}
		p.Rules = append(p.Rules, r)
	}
	return p
}

func (a authority) sign(t testing.TB, p *Policy) []byte {
	t.Helper()
	signed, err := p.Sign(a.Signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// The vector of docs/spec/tinker.md#suite-policy: the Ed25519 seed is 32 times 7.
const vector = `tinker suite policy v1
network lab.example
version 7
expires 2027-01-31T00:00:00Z
TK2 preferred
TK3 allowed
TK1 deprecated 2026-12-31T00:00:00Z
TK9 forbidden

— lab.example TgoPkdrBTB/V+Acg5925hXKxawQQY/dLnw1yDLS2yhLLiNWtGfsqtFEXm9DfFCGKVas9AlDZRt4N+pqgH+C4ig1vlwQ=
`

func TestVector(t *testing.T) {
	want := &Policy{
		Network: "lab.example", Version: 7, Expires: time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC),
		Rules: []Rule{
			{Suite: tk2, Status: Preferred},
			{Suite: tk3, Status: Allowed},
			{Suite: tk1, Status: Deprecated, Until: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)},
			{Suite: tk9, Status: Forbidden},
		},
	}
	a := newAuthority(t, "lab.example", 7)
	if got := string(a.sign(t, want)); got != vector {
		t.Errorf("signed:\n%s", got)
	}
	got, err := Open([]byte(vector), 0, a.Verifier)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSignDropsFractionsAndZones(t *testing.T) {
	a := newAuthority(t, "lab.example", 1)
	p := newPolicy(1, "TK1 preferred")
	whole := a.sign(t, p)
	p.Expires = p.Expires.Add(time.Second - 1).In(time.FixedZone("", 3600))
	if got := a.sign(t, p); !bytes.Equal(got, whole) {
		t.Errorf("signed:\n%s", got)
	}
}

func TestSignRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Policy)
		want   string
	}{
		{"no network", func(p *Policy) { p.Network = "" }, "network name"},
		{"line in the network", func(p *Policy) { p.Network = "lab\nversion 9" }, "network name"},
		{"long network", func(p *Policy) { p.Network = strings.Repeat("a", 254) }, "network name"},
		{"no version", func(p *Policy) { p.Version = 0 }, "versions begin at 1"},
		{"no end", func(p *Policy) { p.Expires = time.Time{} }, "when it expires: the time is not set"},
		{"far end", func(p *Policy) { p.Expires = p.Expires.AddDate(8000, 0, 0) }, "in the year 10026"},
		{"no suite", func(p *Policy) { p.Rules = nil }, "names 0 suites"},
		{"none preferred", func(p *Policy) { p.Rules[0].Status = Allowed }, "its first suite is not preferred"},
		{"suite 0", func(p *Policy) { p.Rules[2].Suite = 0 }, "suites begin at 1"},
		{"unknown status", func(p *Policy) { p.Rules[1].Status = 4 }, "unknown status"},
		{"deprecated without end", func(p *Policy) { p.Rules[1].Status = Deprecated }, "until when TK2 may be used: the time is not set"},
		{"allowed with end", func(p *Policy) { p.Rules[1].Until = start }, "only a deprecated suite has one"},
		{"too many", func(p *Policy) {
			for id := range tinker.SuiteID(64) {
				p.Rules = append(p.Rules, Rule{Suite: 100 + id})
			}
		}, "names 67 suites"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPolicy(1, "TK1 preferred, TK2 allowed, TK3 forbidden")
			test.change(p)
			_, err := p.Sign(newAuthority(t, "lab.example", 1).Signer)
			if !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// Every text but the one is refused, though an authority signed it.
func TestOpenRefusesOtherForms(t *testing.T) {
	const good = "tinker suite policy v1\nnetwork lab.example\nversion 7\nexpires 2027-01-31T00:00:00Z\n" +
		"TK2 preferred\nTK3 allowed\nTK1 deprecated 2026-12-31T00:00:00Z\nTK8 forbidden\nTK9 forbidden\n"
	a := newAuthority(t, "lab.example", 1)
	tests := []struct{ name, old, new, want string }{
		{"header", "policy v1", "policy v2", "may need a newer build"},
		{"missing line", "version 7\n", "", "third line is not the version"},
		{"line twice", "version 7\n", "version 7\nversion 7\n", "fourth line"},
		{"swapped lines", "network lab.example\nversion 7\n", "version 7\nnetwork lab.example\n", "second line"},
		{"unknown line", "TK2 preferred", "comment x\nTK2 preferred", `"comment" is not the name of a suite`},
		{"empty line", "TK3 allowed\n", "\nTK3 allowed\n", `"" is not the name`},
		{"empty line at the end", "TK9 forbidden\n", "TK9 forbidden\n\n", `"" is not the name`},
		{"no suites", good[strings.Index(good, "TK2"):], "", "names 0 suites"},
		{"network with space", "lab.example", "lab example", "network name"},
		{"network not ASCII", "lab.example", "läb.example", "network name"},
		{"version 0", "version 7", "version 0", "versions begin at 1"},
		{"version 07", "version 7", "version 07", "only form"},
		{"version +7", "version 7", "version +7", "read its version"},
		{"version too great", "version 7", "version 18446744073709551616", "read its version"},
		{"version with space", "version 7", "version 7 ", "read its version"},
		{"zone", "2027-01-31T00:00:00Z", "2027-01-31T00:00:00+00:00", "when it expires"},
		{"fraction", "2027-01-31T00:00:00Z", "2027-01-31T00:00:00.0Z", "only form"},
		{"no such day", "2027-01-31", "2027-02-30", "when it expires"},
		{"year 0", "2027-01-31", "0000-01-31", "can't be written"},
		{"name in small letters", "TK2", "tk2", "not the name of a suite"},
		{"TK02", "TK2", "TK02", "not the name of a suite"},
		{"TK0", "TK2", "TK0", "suites begin at 1"},
		{"TK65536", "TK9", "TK65536", "not the name of a suite"},
		{"number alone", "TK2", "2", "not the name of a suite"},
		{"status", "TK3 allowed", "TK3 welcome", `unknown status "welcome"`},
		{"no status", "TK3 allowed", "TK3", `unknown status ""`},
		{"space behind", "TK3 allowed", "TK3 allowed ", "only they, have an end"},
		{"two spaces", "TK3 allowed", "TK3  allowed", `unknown status ""`},
		{"allowed until", "TK3 allowed", "TK3 allowed 2026-12-31T00:00:00Z", "only they, have an end"},
		{"deprecated for ever", "TK1 deprecated 2026-12-31T00:00:00Z", "TK1 deprecated", "only they, have an end"},
		{"deprecated until a word", "deprecated 2026-12-31T00:00:00Z", "deprecated soon", "until when TK1"},
		{"twice", "TK9", "TK1", "stands after TK8"},
		{"twice in one status", "TK9", "TK8", "names TK8 twice"},
		{"twice in two statuses", "TK3 allowed", "TK1 allowed", "names TK1 twice"},
		{"two preferred", "TK3 allowed", "TK3 preferred", "exactly one has to be"},
		{"none preferred", "TK2 preferred", "TK2 allowed", "first suite is not preferred"},
		{"preferred later", "TK2 preferred\nTK3 allowed", "TK3 allowed\nTK2 preferred", "first suite is not preferred"},
		{"order of statuses", "TK3 allowed\nTK1 deprecated 2026-12-31T00:00:00Z", "TK1 deprecated 2026-12-31T00:00:00Z\nTK3 allowed", "the order is preferred"},
		{"order of forbidden", "TK8 forbidden\nTK9 forbidden", "TK9 forbidden\nTK8 forbidden", "go by number"},
	}
	sign := func(text string) []byte {
		signed, err := note.Sign(&note.Note{Text: text}, a.Signer)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	if _, err := Open(sign(good), 1, a.Verifier); err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bad := strings.Replace(good, test.old, test.new, 1)
			if bad == good {
				t.Fatal("nothing was changed")
			}
			p, err := Open(sign(bad), 1, a.Verifier)
			if p != nil || !errors.Is(err, ErrPolicy) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	var many strings.Builder
	for id := range 64 {
		fmt.Fprintf(&many, "TK%d forbidden\n", 10+id)
	}
	if _, err := Open(sign(good+many.String()), 1, a.Verifier); !errors.Is(err, ErrPolicy) {
		t.Errorf("69 suites: %v", err)
	}
	if _, err := Open(sign(good+strings.Repeat("TK10 forbidden\n", 1200)), 1, a.Verifier); !errors.Is(err, ErrPolicy) {
		t.Errorf("18 kB: %v", err)
	}
}

func TestOpenSignatures(t *testing.T) {
	a, b, stranger := newAuthority(t, "a.example", 1), newAuthority(t, "b.example", 2), newAuthority(t, "a.example", 3)
	p := newPolicy(1, "TK1 preferred")
	tests := []struct {
		name      string
		threshold int
		signers   []note.Signer
		want      error
	}{
		{"one of one", 1, []note.Signer{a.Signer}, nil},
		{"the other", 1, []note.Signer{b.Signer}, nil},
		{"both of two", 2, []note.Signer{a.Signer, b.Signer}, nil},
		{"all by default", 0, []note.Signer{a.Signer, b.Signer}, nil},
		{"one where all are needed", 0, []note.Signer{a.Signer}, ErrSignature},
		{"one twice", 2, []note.Signer{a.Signer, a.Signer}, ErrSignature},
		{"one and a stranger", 2, []note.Signer{a.Signer, stranger.Signer}, ErrSignature},
		{"one and a stranger, one needed", 1, []note.Signer{stranger.Signer, a.Signer}, nil},
		{"a stranger", 1, []note.Signer{stranger.Signer}, ErrSignature},
		{"nobody", 1, nil, ErrSignature},
		{"more than there are", 3, []note.Signer{a.Signer, b.Signer}, ErrSignature},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			signed, err := p.Sign(test.signers...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(signed, test.threshold, a.Verifier, b.Verifier); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if _, err := Open(a.sign(t, p), 0); !errors.Is(err, ErrSignature) {
		t.Errorf("without verifiers: %v", err)
	}
	signed := a.sign(t, p)
	for i := range bytes.Index(signed, []byte("\n\n")) {
		flipped := bytes.Clone(signed)
		flipped[i] ^= 1
		if _, err := Open(flipped, 1, a.Verifier); err == nil {
			t.Fatalf("opens with byte %d flipped", i)
		}
	}
}
