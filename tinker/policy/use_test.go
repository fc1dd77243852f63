package policy

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"safing/tinker"
)

// A network is an authority and one program that holds to its policies.
type network struct {
	authority
	config Config
	*Policies
	clock time.Time
}

// newNetwork has a floor that forbids TK9, and no default.
func newNetwork(t testing.TB) *network {
	t.Helper()
	n := &network{authority: newAuthority(t, "lab.example", 1), clock: start}
	n.config = Config{
		Floor: Floor{Network: "lab.example", Verifiers: nil, Forbidden: []tinker.SuiteID{tk9}},
		Path:  filepath.Join(t.TempDir(), "policy"),
		Now:   func() time.Time { return n.clock },
	}
	n.config.Floor.Verifiers = append(n.config.Floor.Verifiers, n.Verifier)
	n.restart(t)
	return n
}

func (n *network) restart(t testing.TB) {
	t.Helper()
	ps, err := Load(n.config)
	if err != nil {
		t.Fatal(err)
	}
	n.Policies = ps
}

func (n *network) update(t testing.TB, p *Policy) {
	t.Helper()
	if err := n.Update(n.sign(t, p)); err != nil {
		t.Fatal(err)
	}
}

func (n *network) wantCheck(t testing.TB, suite tinker.SuiteID, want error) {
	t.Helper()
	if err := n.Check(suite); !errors.Is(err, want) {
		t.Errorf("check %s: got %v, want %v", suite, err, want)
	}
}

func TestCheck(t *testing.T) {
	const rules = "TK2 preferred, TK3 allowed, TK1 deprecated, TK4 forbidden, TK9 forbidden"
	until, expires := start.Add(10*day), start.Add(30*day)
	tests := []struct {
		name  string
		suite tinker.SuiteID
		now   time.Time
		want  error
	}{
		{"preferred", tk2, start, nil},
		{"allowed", tk3, start, nil},
		{"deprecated, before its end", tk1, until.Add(-1), nil},
		{"deprecated, at its end", tk1, until, ErrDeprecated},
		{"deprecated, after its end", tk1, until.Add(1), ErrDeprecated},
		{"forbidden", tk4, start, ErrForbidden},
		{"forbidden by the floor", tk9, start, ErrForbidden},
		{"forbidden by the floor, expired", tk9, expires, ErrForbidden},
		{"not listed", 77, start, ErrNotListed},
		{"suite 0", 0, start, ErrNotListed},
		{"preferred, before the policy's end", tk2, expires.Add(-1), nil},
		{"preferred, at the policy's end", tk2, expires, ErrExpired},
		{"forbidden, expired", tk4, expires, ErrExpired},
		{"not listed, expired", 77, expires, ErrExpired},
	}
	n := newNetwork(t)
	n.update(t, newPolicy(1, rules))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n.clock = test.now
			n.wantCheck(t, test.suite, test.want)
		})
	}
}

func TestBest(t *testing.T) {
	const rules = "TK3 preferred, TK4 allowed, TK2 allowed, TK6 deprecated, TK5 deprecated, TK1 forbidden"
	tests := []struct {
		name      string
		available []tinker.SuiteID
		after     time.Duration
		want      tinker.SuiteID
		err       error
	}{
		{"preferred", []tinker.SuiteID{1, 2, 3, 4, 5, 6}, 0, 3, nil},
		{"allowed in the policy's order", []tinker.SuiteID{2, 4, 5}, 0, 4, nil},
		{"allowed before deprecated", []tinker.SuiteID{5, 6, 2}, 0, 2, nil},
		{"deprecated in the policy's order", []tinker.SuiteID{1, 5, 6}, 0, 6, nil},
		{"deprecated and over", []tinker.SuiteID{1, 5, 6}, 10 * day, 0, ErrDeprecated},
		{"forbidden", []tinker.SuiteID{1}, 0, 0, ErrForbidden},
		{"forbidden and not listed", []tinker.SuiteID{1, 8}, 0, 0, ErrNotListed},
		{"expired", []tinker.SuiteID{3}, 30 * day, 0, ErrExpired},
		{"nothing available", nil, 0, 0, nil},
	}
	n := newNetwork(t)
	n.update(t, newPolicy(1, rules))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n.clock = start.Add(test.after)
			got, err := n.Best(test.available)
			if got != test.want || (test.want == 0) != (err != nil) || test.err != nil && !errors.Is(err, test.err) {
				t.Errorf("got %s, %v; want %s, %v", got, err, test.want, test.err)
			}
		})
	}
}

func TestStep(t *testing.T) {
	const rules = "TK2 preferred, TK3 allowed, TK1 allowed, TK5 deprecated, TK6 deprecated, TK4 forbidden, TK9 forbidden"
	tests := []struct {
		name     string
		from, to tinker.SuiteID
		after    time.Duration
		want     error
	}{
		{"up to preferred", 1, 2, 0, nil},
		{"up among allowed", 1, 3, 0, nil},
		{"up from deprecated", 5, 1, 0, nil},
		{"up among deprecated", 6, 5, 0, nil},
		{"the same", 1, 1, 0, nil},
		{"the same, deprecated", 5, 5, 0, nil},
		{"down from preferred", 2, 3, 0, ErrDowngrade},
		{"down among allowed", 3, 1, 0, ErrDowngrade},
		{"down to deprecated", 1, 5, 0, ErrDowngrade},
		{"to forbidden", 1, 4, 0, ErrForbidden},
		{"to what the floor forbids", 1, 9, 0, ErrForbidden},
		{"to what is not listed", 1, 8, 0, ErrNotListed},
		{"to deprecated and over", 6, 5, 10 * day, ErrDeprecated},
		{"the same, over", 5, 5, 10 * day, ErrDeprecated},
		{"away from forbidden", 4, 1, 0, nil},
		{"away from forbidden to deprecated", 4, 6, 0, nil},
		{"away from not listed", 8, 5, 0, nil},
		{"away from deprecated and over", 5, 1, 10 * day, nil},
		{"expired", 1, 2, 30 * day, ErrExpired},
	}
	n := newNetwork(t)
	n.update(t, newPolicy(1, rules))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n.clock = start.Add(test.after)
			if err := n.Step(test.from, test.to); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// A network moves from TK1 to TK2, as the package's comment tells it.
func TestSwitch(t *testing.T) {
	tests := []struct {
		rules   string
		best    tinker.SuiteID // of a program that has both
		old     error          // may TK1 be used?
		forward error          // may a session step from TK1 to TK2?
		back    error
	}{
		{"TK1 preferred", tk1, nil, ErrNotListed, nil},
		{"TK1 preferred, TK2 allowed", tk1, nil, ErrDowngrade, nil},
		{"TK2 preferred, TK1 allowed", tk2, nil, nil, ErrDowngrade},
		{"TK2 preferred, TK1 deprecated", tk2, nil, nil, ErrDowngrade},
		{"TK2 preferred, TK1 forbidden", tk2, ErrForbidden, nil, ErrForbidden},
		{"TK2 preferred", tk2, ErrNotListed, nil, ErrNotListed},
	}
	n := newNetwork(t)
	for i, test := range tests {
		n.update(t, newPolicy(uint64(i+1), test.rules))
		if best, err := n.Best([]tinker.SuiteID{tk1, tk2}); best != test.best || err != nil {
			t.Errorf("%s: best is %s, %v", test.rules, best, err)
		}
		n.wantCheck(t, tk1, test.old)
		if err := n.Step(tk1, tk2); !errors.Is(err, test.forward) {
			t.Errorf("%s: step forward: got %v, want %v", test.rules, err, test.forward)
		}
		if err := n.Step(tk2, tk1); !errors.Is(err, test.back) {
			t.Errorf("%s: step back: got %v, want %v", test.rules, err, test.back)
		}
	}
}
