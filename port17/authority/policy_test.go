package authority

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"safing/netmap"
	"safing/tinker"
	"safing/tinker/policy"
)

// suitePolicy returns a policy of the network that prefers the suite.
func suitePolicy(t rapid.TB, network string, version uint64, prefers tinker.SuiteID, signers ...note.Signer) []byte {
	t.Helper()
	p := &policy.Policy{
		Network: network, Version: version, Expires: period().AddDate(1, 0, 0),
		Rules: []policy.Rule{{Suite: prefers, Status: policy.Preferred}},
	}
	signed, err := p.Sign(signers...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// Three authorities, of which two have to sign.
func TestAgreedPolicy(t *testing.T) {
	n, signers := threeAuthorities(t)
	_, strangers := threeAuthorities(t)
	sign := func(version uint64, prefers tinker.SuiteID, by ...int) string {
		var all []note.Signer
		for _, i := range by {
			all = append(all, signers[i])
		}
		return string(suitePolicy(t, "test", version, prefers, all...))
	}
	for name, test := range map[string]struct {
		votes []string
		want  string
	}{
		"none":                         {[]string{"", "", ""}, ""},
		"signed by two, in one vote":   {[]string{"", sign(1, tinker.TK2, 0, 1), ""}, sign(1, tinker.TK2, 0, 1)},
		"signed by one, in all votes":  {[]string{sign(1, tinker.TK2, 0), sign(1, tinker.TK2, 0), sign(1, tinker.TK2, 0)}, ""},
		"signed by one twice":          {[]string{sign(1, tinker.TK2, 0) + sigs(sign(1, tinker.TK2, 0))}, ""},
		"signed by strangers":          {[]string{string(suitePolicy(t, "test", 1, tinker.TK2, strangers...))}, ""},
		"a stranger and one":           {[]string{sign(1, tinker.TK2, 0) + sigs(string(suitePolicy(t, "test", 1, tinker.TK2, strangers...)))}, ""},
		"of another network":           {[]string{string(suitePolicy(t, "other", 1, tinker.TK2, signers...))}, ""},
		"no policy":                    {[]string{"x", "\n\n", "a\n\n— test AAAA\n"}, ""},
		"the newest":                   {[]string{sign(2, tinker.TK2, 0, 1), sign(3, tinker.TK1, 1, 2), sign(1, tinker.TK3, 0, 2)}, sign(3, tinker.TK1, 1, 2)},
		"the newest is of one":         {[]string{sign(2, tinker.TK2, 0, 1), sign(3, tinker.TK1, 2), sign(2, tinker.TK2, 0, 1)}, sign(2, tinker.TK2, 0, 1)},
		"a stranger's signature, too":  {[]string{sign(1, tinker.TK2, 0, 1) + sigs(string(suitePolicy(t, "test", 1, tinker.TK2, strangers...)))}, sign(1, tinker.TK2, 0, 1)},
		"newer, changed after signing": {[]string{sign(1, tinker.TK2, 0, 1), strings.Replace(sign(2, tinker.TK2, 0, 1), "TK2", "TK3", 1)}, sign(1, tinker.TK2, 0, 1)},
	} {
		var votes []*vote
		for _, p := range test.votes {
			votes = append(votes, &vote{policy: p})
		}
		got := ""
		if p := agreedPolicy(n, votes); p != nil {
			got = string(p.Signed)
		}
		want := test.want
		if want != "" {
			p, err := OpenPolicy(n, []byte(want))
			if err != nil {
				t.Fatal(err)
			}
			want = string(p.Signed)
		}
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
		}
	}
}

// sigs returns the lines of a note that are signatures.
func sigs(signed string) string {
	_, after, _ := strings.Cut(signed, "\n\n")
	return after
}

func threeAuthorities(t *testing.T) (*netmap.Network, []note.Signer) {
	t.Helper()
	n := &netmap.Network{Name: "test", Threshold: 2}
	var signers []note.Signer
	for range 3 {
		key, verifier, err := GenerateKey("test")
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewSigner("test", key)
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, s)
		n.Authorities = append(n.Authorities, netmap.Authority{Key: verifier})
	}
	return n, signers
}

// Whatever votes there are, and in whatever order, all that count them take the
// same policy, which enough have signed.
func TestAgreedPolicyIsOfTheVotesAlone(t *testing.T) {
	n, signers := threeAuthorities(t)
	verifiers, err := n.Verifiers()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(r *rapid.T) {
		var votes []*vote
		for range rapid.IntRange(0, 4).Draw(r, "votes") {
			var by []note.Signer
			for i, s := range signers {
				if i == 0 || rapid.Bool().Draw(r, "signs") {
					by = append(by, s)
				}
			}
			version := rapid.Uint64Range(1, 3).Draw(r, "version")
			prefers := rapid.SampledFrom(tinker.Suites()).Draw(r, "prefers")
			votes = append(votes, &vote{policy: string(suitePolicy(r, "test", version, prefers, by...))})
		}
		agreed := agreedPolicy(n, votes)
		again := agreedPolicy(n, rapid.Permutation(votes).Draw(r, "order"))
		if (agreed == nil) != (again == nil) || agreed != nil && string(agreed.Signed) != string(again.Signed) {
			r.Fatalf("it depends on the order: %v, %v", agreed, again)
		}
		for _, v := range votes {
			p, err := policy.Open([]byte(v.policy), 2, verifiers...)
			if err == nil && (agreed == nil || agreed.Version < p.Version) {
				r.Fatalf("version %d is left out", p.Version)
			}
		}
		if agreed != nil {
			if _, err := policy.Open(agreed.Signed, 2, verifiers...); err != nil {
				r.Fatal(err)
			}
		}
	})
}

// A policy that two of three have signed is put into the folder of one. It is on
// the map, and stays there without the file and that authority.
func TestPolicyOnTheMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 3, 2)
		put := func(i int, version uint64, by ...int) []byte {
			var all []note.Signer
			for _, i := range by {
				s, err := NewSigner("test", c.keys[i])
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, s)
			}
			p := &policy.Policy{
				Network: "test", Version: version, Expires: time.Now().Add(24 * time.Hour),
				Rules: []policy.Rule{{Suite: tinker.TK2, Status: policy.Preferred}},
			}
			signed, err := p.Sign(all...)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(c.states[i], PolicyFile), signed, 0o600); err != nil {
				t.Fatal(err)
			}
			return signed
		}
		wantVersion := func(want uint64) {
			t.Helper()
			c.period()
			m := c.agree(0)
			if want == 0 {
				if len(m.Policy) > 0 {
					t.Errorf("the map has a policy:\n%s", m.Policy)
				}
				return
			}
			p, err := OpenPolicy(c.network, m.Policy)
			if err != nil || p.Version != want {
				t.Errorf("the map's policy is %v, %v, want version %d\n%s", p, err, want, c.log)
			}
		}
		wantVersion(0)
		put(0, 7, 0) // one signature
		wantVersion(0)
		put(0, 7, 0, 1)
		wantVersion(7)
		c.stop(0)
		wantVersion(7)
		put(1, 6, 0, 1) // older
		wantVersion(7)
		put(2, 9, 2) // newer, with one signature
		wantVersion(7)
		c.stop(1)
		c.start(1)
		c.start(0)
		wantVersion(7)
		put(2, 8, 1, 2)
		wantVersion(8)
	})
}
