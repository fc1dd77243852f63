package policy

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/tinker"
)

func TestUpdate(t *testing.T) {
	stranger := newAuthority(t, "lab.example", 66)
	tests := []struct {
		name   string
		next   *Policy
		change func(*network, *Policy)
		want   error
		taken  bool
	}{
		{"newer", newPolicy(6, "TK2 preferred"), nil, nil, true},
		{"much newer", newPolicy(1<<63, "TK2 preferred"), nil, nil, true},
		{"the same", newPolicy(5, "TK1 preferred"), nil, nil, false},
		{"the same, expired", newPolicy(5, "TK1 preferred"), func(n *network, _ *Policy) { n.clock = start.Add(30 * day) }, ErrExpired, false},
		{"older", newPolicy(4, "TK2 preferred"), nil, ErrRollback, false},
		{"below the floor", newPolicy(2, "TK2 preferred"), nil, ErrRollback, false},
		{"other rules in the same version", newPolicy(5, "TK2 preferred"), nil, ErrEquivocation, false},
		{"other end in the same version", newPolicy(5, "TK1 preferred"), func(_ *network, p *Policy) { p.Expires = p.Expires.Add(day) }, ErrEquivocation, false},
		{"expired", newPolicy(6, "TK2 preferred"), func(_ *network, p *Policy) { p.Expires = start }, ErrExpired, true},
		{"expired and older", newPolicy(4, "TK2 preferred"), func(_ *network, p *Policy) { p.Expires = start }, ErrRollback, false},
		{"other network", newPolicy(6, "TK2 preferred"), func(_ *network, p *Policy) { p.Network = "other.example" }, ErrPolicy, false},
		{"stranger", newPolicy(6, "TK2 preferred"), func(n *network, _ *Policy) { n.Signer = stranger.Signer }, ErrSignature, false},
		{"prefers what the floor forbids", newPolicy(6, "TK9 preferred"), nil, ErrForbidden, false},
		{"allows what the floor forbids", newPolicy(6, "TK2 preferred, TK9 allowed"), nil, ErrForbidden, false},
		{"deprecates what the floor forbids", newPolicy(6, "TK2 preferred, TK9 deprecated"), nil, ErrForbidden, false},
		{"forbids what the floor forbids", newPolicy(6, "TK2 preferred, TK9 forbidden"), nil, nil, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := newNetwork(t)
			n.config.Floor.Version = 3
			n.restart(t)
			n.update(t, newPolicy(5, "TK1 preferred"))
			if test.change != nil {
				test.change(n, test.next)
			}
			if err := n.Update(n.sign(t, test.next)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			want := uint64(5)
			if test.taken {
				want = test.next.Version
			}
			if got := n.Newest().Version; got != want {
				t.Errorf("version %d counts, want %d", got, want)
			}
			n.restart(t)
			if got := n.Newest().Version; got != want {
				t.Errorf("after a restart version %d counts, want %d", got, want)
			}
		})
	}
}

func TestUpdateRefusesRubbish(t *testing.T) {
	n := newNetwork(t)
	for _, text := range []string{"", "\n", "\n\n", "tinker suite policy v1\n", strings.Repeat("a", maxSigned+1)} {
		if err := n.Update([]byte(text)); err == nil {
			t.Errorf("takes %.40q", text)
		}
	}
}

// Who replays old policies brings no forbidden suite back.
func TestReplay(t *testing.T) {
	n := newNetwork(t)
	old := [][]byte{
		n.sign(t, newPolicy(1, "TK1 preferred")),
		n.sign(t, newPolicy(2, "TK1 preferred, TK2 allowed")),
		n.sign(t, newPolicy(3, "TK2 preferred, TK1 deprecated")),
	}
	for _, signed := range old {
		if err := n.Update(signed); err != nil {
			t.Fatal(err)
		}
	}
	n.update(t, newPolicy(4, "TK2 preferred, TK1 forbidden"))
	for _, restart := range []bool{false, true} {
		if restart {
			n.restart(t)
		}
		n.wantCheck(t, tk1, ErrForbidden)
		for _, signed := range old {
			if err := n.Update(signed); !errors.Is(err, ErrRollback) {
				t.Errorf("restarted: %v: replay: %v", restart, err)
			}
			n.wantCheck(t, tk1, ErrForbidden)
		}
		n.wantCheck(t, tk2, nil)
	}
}

// An expired policy proves that those before it were withdrawn: they don't
// count any more, though their own time is not over.
func TestExpiredPolicyEndsThoseBefore(t *testing.T) {
	n := newNetwork(t)
	n.update(t, newPolicy(1, "TK1 preferred, TK2 allowed"))
	urgent := newPolicy(2, "TK2 preferred, TK1 forbidden")
	urgent.Expires = start.Add(day)
	n.clock = start.Add(2 * day)
	if err := n.Update(n.sign(t, urgent)); !errors.Is(err, ErrExpired) {
		t.Fatal(err)
	}
	for range 2 {
		n.wantCheck(t, tk1, ErrExpired)
		n.wantCheck(t, tk2, ErrExpired)
		n.restart(t)
	}
	n.update(t, newPolicy(3, "TK2 preferred"))
	n.wantCheck(t, tk2, nil)
}

// What holds when somebody sets the clock back: an ended policy and a
// deprecated suite live on, but no older policy counts, and what is forbidden
// stays so.
func TestClockSetBack(t *testing.T) {
	n := newNetwork(t)
	old := n.sign(t, newPolicy(1, "TK3 preferred"))
	if err := n.Update(old); err != nil {
		t.Fatal(err)
	}
	n.update(t, newPolicy(2, "TK2 preferred, TK1 deprecated, TK3 forbidden"))
	n.clock = start.Add(31 * day)
	n.wantCheck(t, tk1, ErrExpired)
	n.wantCheck(t, tk2, ErrExpired)
	n.clock = start.Add(-1000 * day)
	for range 2 {
		n.wantCheck(t, tk1, nil)
		n.wantCheck(t, tk2, nil)
		n.wantCheck(t, tk3, ErrForbidden)
		if err := n.Update(old); !errors.Is(err, ErrRollback) {
			t.Errorf("replay: %v", err)
		}
		n.restart(t)
	}
}

func TestDefault(t *testing.T) {
	n := newNetwork(t)
	n.wantCheck(t, tk1, ErrExpired) // no default
	n.config.Floor.Version = 3
	n.config.Floor.Default = []tinker.SuiteID{tk2, tk1}
	n.config.Floor.DefaultUntil = start.Add(day)
	n.restart(t)
	n.wantCheck(t, tk1, nil)
	n.wantCheck(t, tk3, ErrNotListed)
	n.wantCheck(t, tk9, ErrForbidden)
	if best, err := n.Best([]tinker.SuiteID{tk1, tk2}); best != tk2 || err != nil {
		t.Errorf("best is %s, %v", best, err)
	}
	if err := n.Step(tk2, tk1); !errors.Is(err, ErrDowngrade) {
		t.Errorf("step down: %v", err)
	}
	if err := n.Update(n.sign(t, newPolicy(2, "TK1 preferred"))); !errors.Is(err, ErrRollback) {
		t.Errorf("below the floor: %v", err)
	}
	n.clock = start.Add(day)
	n.wantCheck(t, tk1, ErrExpired)
	n.clock = start

	// Once there is a policy, the default is gone for good.
	expired := newPolicy(3, "TK2 preferred")
	expired.Expires = start
	if err := n.Update(n.sign(t, expired)); !errors.Is(err, ErrExpired) {
		t.Fatal(err)
	}
	for range 2 {
		n.wantCheck(t, tk1, ErrExpired)
		n.restart(t)
	}
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no path", func(c *Config) { c.Path = "" }, "needs a Path"},
		{"no network", func(c *Config) { c.Floor.Network = "" }, "network name"},
		{"no verifiers", func(c *Config) { c.Floor.Verifiers = nil }, "names no verifiers"},
		{"one verifier twice", func(c *Config) { c.Floor.Verifiers = append(c.Floor.Verifiers, c.Floor.Verifiers[0]) }, "twice"},
		{"threshold", func(c *Config) { c.Floor.Threshold = 2 }, "threshold 2"},
		{"default without end", func(c *Config) { c.Floor.DefaultUntil = time.Time{} }, "set DefaultUntil"},
		{"default names a suite twice", func(c *Config) { c.Floor.Default = []tinker.SuiteID{tk1, tk1} }, "names TK1 twice"},
		{"default is forbidden", func(c *Config) { c.Floor.Default = []tinker.SuiteID{tk1, tk9} }, "forbids for ever"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newNetwork(t).config
			c.Floor.Default, c.Floor.DefaultUntil = []tinker.SuiteID{tk1}, start
			test.change(&c)
			if _, err := Load(c); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// Who holds a floor or a policy can't change what counts.
func TestOwnCopies(t *testing.T) {
	n := newNetwork(t)
	n.update(t, newPolicy(1, "TK1 preferred, TK2 forbidden"))
	n.config.Floor.Forbidden[0] = tk1
	p := n.Newest()
	p.Rules[1].Status = Allowed
	n.wantCheck(t, tk1, nil)
	n.wantCheck(t, tk2, ErrForbidden)
	n.wantCheck(t, tk9, ErrForbidden)
}

func TestThreshold(t *testing.T) {
	n := newNetwork(t)
	second := newAuthority(t, "second.example", 2)
	n.config.Floor.Verifiers = []note.Verifier{n.Verifier, second.Verifier}
	n.restart(t)
	p := newPolicy(1, "TK1 preferred")
	if err := n.Update(n.sign(t, p)); !errors.Is(err, ErrSignature) {
		t.Errorf("one of two: %v", err)
	}
	signed, err := p.Sign(n.Signer, second.Signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Update(signed); err != nil {
		t.Error(err)
	}
}

// While versions arrive in any order from all sides, nobody sees one fall.
func TestConcurrent(t *testing.T) {
	n := newNetwork(t)
	const versions = 24
	var updates, readers sync.WaitGroup
	done := make(chan struct{})
	for i := range uint64(versions) {
		signed := n.sign(t, newPolicy(i*7%versions+1, "TK2 preferred, TK1 forbidden"))
		updates.Go(func() {
			if err := n.Update(signed); err != nil && !errors.Is(err, ErrRollback) {
				t.Error(err)
			}
		})
	}
	for range 4 {
		readers.Go(func() {
			var last uint64
			for {
				v := n.Newest().Version
				if v < last {
					t.Errorf("version %d after %d", v, last)
				}
				last = v
				if n.Check(tk1) == nil || n.Step(tk2, tk1) == nil {
					t.Error("TK1 may be used")
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	updates.Wait()
	close(done)
	readers.Wait()
	for range 2 {
		if v := n.Newest().Version; v != versions {
			t.Errorf("version %d counts at the end", v)
		}
		n.restart(t)
	}
}
