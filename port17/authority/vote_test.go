package authority

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"safing/netmap"
)

// assembly makes n authorities with known keys, of which k have to agree.
func assembly(t rapid.TB, n, k int) (*quorum, []note.Signer) {
	t.Helper()
	network := &netmap.Network{Name: "test", Threshold: k}
	var signers []note.Signer
	for i := range n {
		key := ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(100+i)))
		verifier, err := note.NewEd25519VerifierKey("test", key.Public().(ed25519.PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		signer, err := NewSigner("test", key)
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, signer)
		network.Authorities = append(network.Authorities, netmap.Authority{URL: fmt.Sprintf("http://127.0.0.1:%d", 1+i), Key: verifier})
	}
	q, err := newQuorum(network)
	if err != nil {
		t.Fatal(err)
	}
	return q, signers
}

func someDigest(text string) digest { return sha256.Sum256([]byte(text)) }

func period() time.Time { return time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC) }

func someVote(author uint32) *vote {
	return &vote{
		author: author, period: period(), policy: "policy", statements: []string{"a", "b"},
		opinions: []opinion{
			{ID: netmap.NodeID{1}, Descriptors: []digest{someDigest("new"), someDigest("old")}, Reachable: true, Capacity: 7},
			{ID: netmap.NodeID{2}, Descriptors: []digest{someDigest("2")}, Keys: []digest{someDigest("keys")}, BadExit: true},
		},
	}
}

// cast returns the ballot of a vote with the signatures.
func cast(t rapid.TB, v *vote, signers ...note.Signer) (ballot, []byte) {
	t.Helper()
	body, err := v.body()
	if err != nil {
		t.Fatal(err)
	}
	return sealed(t, voteHeader{author: v.author, period: v.period, body: sha256.Sum256(body)}, signers...), body
}

func sealed(t rapid.TB, h voteHeader, signers ...note.Signer) ballot {
	t.Helper()
	b := ballot{h, &note.Note{Text: h.text("test")}}
	for _, s := range signers {
		var err error
		if b, err = b.sign(s); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func encoded(t rapid.TB, b ballot) []byte {
	t.Helper()
	signed, err := b.bytes()
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestVote(t *testing.T) {
	q, signers := assembly(t, 3, 2)
	want := someVote(signers[0].KeyHash())
	sent, body := cast(t, want, signers[0], signers[2])
	b, err := openBallot(q, encoded(t, sent))
	if err != nil {
		t.Fatal(err)
	}
	if len(b.note.Sigs) != 2 || !b.signedBy(signers[2].KeyHash()) || b.signedBy(signers[1].KeyHash()) {
		t.Errorf("signatures: %v", b.note.Sigs)
	}
	got, err := parseVote(b.voteHeader, body)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(vote{})); err != nil || diff != "" {
		t.Error(err, diff)
	}
	body[len(body)-1] ^= 1
	if _, err := parseVote(b.voteHeader, body); !errors.Is(err, errVote) {
		t.Errorf("another body: %v", err)
	}
}

func TestBallotRefused(t *testing.T) {
	q, signers := assembly(t, 3, 2)
	_, strangers := assembly(t, 4, 3)
	h := voteHeader{author: signers[0].KeyHash(), period: period(), body: someDigest("x")}
	good := string(encoded(t, sealed(t, h, signers[0])))
	alien := h
	alien.author = strangers[3].KeyHash()
	for name, signed := range map[string]string{
		"nothing":               "",
		"not by its author":     string(encoded(t, sealed(t, h, signers[1]))),
		"by a stranger":         string(encoded(t, sealed(t, alien, strangers[3]))),
		"by a stranger as well": string(encoded(t, sealed(t, h, signers[0], strangers[3]))),
		"changed":               strings.Replace(good, "10:00", "11:00", 1),
		"long":                  good + strings.Repeat("x", maxBallot),
		"another network":       string(encoded(t, ballot{h, sealedText(t, h.text("other"), signers[0])})),
		"another form":          string(encoded(t, ballot{h, sealedText(t, h.text("test")+"more\n", signers[0])})),
		"another clock":         string(encoded(t, ballot{h, sealedText(t, strings.Replace(h.text("test"), "00Z", "00.0Z", 1), signers[0])})),
	} {
		if _, err := openBallot(q, []byte(signed)); !errors.Is(err, errVote) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := openBallot(q, []byte(good)); err != nil {
		t.Error(err)
	}
}

func sealedText(t testing.TB, text string, s note.Signer) *note.Note {
	t.Helper()
	b, err := (ballot{note: &note.Note{Text: text}}).sign(s)
	if err != nil {
		t.Fatal(err)
	}
	return b.note
}

func TestVoteBounds(t *testing.T) {
	for name, change := range map[string]func(v *vote){
		"order":           func(v *vote) { v.opinions[0], v.opinions[1] = v.opinions[1], v.opinions[0] },
		"node twice":      func(v *vote) { v.opinions[1] = v.opinions[0] },
		"no descriptor":   func(v *vote) { v.opinions[0].Descriptors = nil },
		"same twice":      func(v *vote) { v.opinions[0].Keys = []digest{{1}, {1}} },
		"three":           func(v *vote) { v.opinions[0].Keys = []digest{{1}, {2}, {3}} },
		"nothing":         func(v *vote) { v.opinions[0].Keys = []digest{{}} },
		"nodes":           func(v *vote) { v.opinions = make([]opinion, maxNodes+1) },
		"statements":      func(v *vote) { v.statements = make([]string, maxStatements+1) },
		"long statement":  func(v *vote) { v.statements = []string{strings.Repeat("x", netmap.MaxStatement+1)} },
		"binary":          func(v *vote) { v.statements = []string{"\xff"} },
		"long policy":     func(v *vote) { v.policy = strings.Repeat("x", maxPolicy+1) },
		"binary policy":   func(v *vote) { v.policy = "\xff" },
		"more statements": func(v *vote) { v.statements = manyStatements() },
	} {
		v := someVote(1)
		change(v)
		if _, err := v.body(); !errors.Is(err, errVote) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// manyStatements fit each for itself, and not together.
func manyStatements() []string {
	all := make([]string, maxStatements)
	for i := range all {
		all[i] = strings.Repeat("x", netmap.MaxStatement)
	}
	return all
}

func TestQuorum(t *testing.T) {
	key := func(name string, seed byte) string {
		text, err := note.NewEd25519VerifierKey(name, ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)).Public().(ed25519.PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	three := []netmap.Authority{{Key: key("test", 1)}, {Key: key("test", 2)}, {Key: key("test", 3)}}
	many := make([]netmap.Authority, maxAuthorities+1)
	for want, n := range map[string]*netmap.Network{
		"more than half":      {Name: "test", Threshold: 1, Authorities: three},
		"threshold is 4 of 3": {Name: "test", Threshold: 4, Authorities: three},
		"at most 16":          {Name: "test", Threshold: 9, Authorities: many},
		"same hash":           {Name: "test", Threshold: 2, Authorities: []netmap.Authority{three[0], three[0], three[1]}},
		"signs for the":       {Name: "test", Threshold: 1, Authorities: []netmap.Authority{{Key: key("other", 1)}}},
		"malformed":           {Name: "test", Threshold: 1, Authorities: []netmap.Authority{{Key: "x"}}},
	} {
		if _, err := newQuorum(n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	if q, err := newQuorum(&netmap.Network{Name: "test", Threshold: 2, Authorities: three}); err != nil || q.rounds() != 2 {
		t.Error(q, err)
	}
}

func FuzzParseVote(f *testing.F) {
	body, err := someVote(1).body()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parseVote(voteHeader{author: 1, period: period(), body: sha256.Sum256(b)}, b)
		if err != nil {
			return
		}
		if again, err := v.body(); err != nil || string(again) != string(b) {
			t.Errorf("what was read is written otherwise: %v", err)
		}
	})
}

func FuzzOpenBallot(f *testing.F) {
	q, signers := assembly(f, 3, 2)
	b := sealed(f, voteHeader{author: signers[0].KeyHash(), period: period(), body: someDigest("x")}, signers[0], signers[1])
	f.Add(encoded(f, b))
	f.Fuzz(func(t *testing.T, signed []byte) {
		openBallot(q, signed) //nolint:errcheck // it must not panic
		text, _, _ := strings.Cut(string(signed), "\n\n")
		if h, err := parseVoteHeader("test", text+"\n"); err == nil && h.text("test") != text+"\n" {
			t.Errorf("what was read is written otherwise: %q", text)
		}
	})
}
