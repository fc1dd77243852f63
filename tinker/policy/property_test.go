package policy

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"safing/tinker"
)

// Suites 1 to 6 are drawn; the floor forbids the last.
const floorForbids = 6

func drawPolicy(t *rapid.T) *Policy {
	p := &Policy{
		Network: "lab.example",
		Version: rapid.Uint64Range(1, 12).Draw(t, "version"),
		Expires: start.Add(time.Duration(rapid.IntRange(-2, 20).Draw(t, "days")) * day),
	}
	suites := rapid.Permutation([]tinker.SuiteID{1, 2, 3, 4, 5, 6}).Draw(t, "suites")
	suites = suites[:rapid.IntRange(1, len(suites)).Draw(t, "count")]
	for i, suite := range suites {
		r := Rule{Suite: suite, Status: Preferred}
		if i > 0 {
			r.Status = rapid.SampledFrom([]Status{Forbidden, Deprecated, Allowed}).Draw(t, "status")
		}
		if r.Status == Deprecated {
			r.Until = start.Add(time.Duration(rapid.IntRange(-2, 20).Draw(t, "until")) * day)
		}
		p.Rules = append(p.Rules, r)
	}
	slices.SortStableFunc(p.Rules, func(a, b Rule) int {
		if a.Status == Forbidden && b.Status == Forbidden {
			return int(a.Suite) - int(b.Suite)
		}
		return int(b.Status) - int(a.Status)
	})
	return p
}

// A model keeps, slowly and obviously, what Policies must.
type model struct {
	*network
	issued []*Policy
	newest *Policy // as it has to be; nil before the first
}

func (m *model) expect(p *Policy) (want error, taken bool) {
	for _, r := range p.Rules {
		if r.Suite == floorForbids && r.Status != Forbidden {
			return ErrForbidden, false
		}
	}
	if m.newest != nil && p.Version <= m.newest.Version {
		if p.Version < m.newest.Version {
			return ErrRollback, false
		}
		a, _ := p.text()
		if b, _ := m.newest.text(); a != b {
			return ErrEquivocation, false
		}
	}
	if !m.clock.Before(p.Expires) {
		return ErrExpired, true
	}
	return nil, true
}

func (m *model) deliver(t *rapid.T) {
	if len(m.issued) == 0 {
		t.Skip("nothing is issued")
	}
	p := rapid.SampledFrom(m.issued).Draw(t, "policy")
	signed, err := p.Sign(m.Signer)
	if err != nil {
		t.Fatal(err)
	}
	want, taken := m.expect(p)
	if err := m.Update(signed); !errors.Is(err, want) {
		t.Fatalf("version %d: got %v, want %v", p.Version, err, want)
	}
	if taken {
		m.newest = p
	}
}

// usable says what the newest policy says of a suite, without its order.
func (m *model) usable(suite tinker.SuiteID) bool {
	if m.newest == nil || suite == floorForbids || !m.clock.Before(m.newest.Expires) {
		return false
	}
	for _, r := range m.newest.Rules {
		if r.Suite == suite {
			return r.Status == Preferred || r.Status == Allowed || r.Status == Deprecated && m.clock.Before(r.Until)
		}
	}
	return false
}

// holds compares all answers with the model's.
func (m *model) holds(t *rapid.T) {
	var version uint64
	var order []tinker.SuiteID
	if m.newest != nil {
		version = m.newest.Version
		for _, r := range m.newest.Rules {
			if m.usable(r.Suite) {
				order = append(order, r.Suite)
			}
		}
	}
	if got := m.Newest().Version; got != version {
		t.Fatalf("version %d counts, want %d", got, version)
	}
	all := []tinker.SuiteID{7, 6, 5, 4, 3, 2, 1}
	for _, from := range all {
		if err := m.Check(from); (err == nil) != m.usable(from) {
			t.Fatalf("check %s: %v", from, err)
		}
		for _, to := range all {
			at, was := slices.Index(order, to), slices.Index(order, from)
			want := at >= 0 && (was < 0 || at <= was)
			if err := m.Step(from, to); (err == nil) != want {
				t.Fatalf("step from %s to %s with %v usable: %v", from, to, order, err)
			}
		}
	}
	if best, err := m.Best(all); len(order) == 0 && err == nil || len(order) > 0 && best != order[0] {
		t.Fatalf("best with %v usable: %s, %v", order, best, err)
	}
}

// Over any sequence of policies, restarts, crashes and clocks, the version
// that counts never falls, and what it forbids may not be used.
func TestPoliciesProperty(t *testing.T) {
	dir := t.TempDir()
	outer := newNetwork(t)
	stranger := newAuthority(t, "lab.example", 66)
	rapid.Check(t, func(t *rapid.T) {
		own, err := os.MkdirTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		m := &model{network: &network{authority: outer.authority, config: outer.config, clock: start}}
		m.config.Path = filepath.Join(own, "policy")
		m.config.Now = func() time.Time { return m.clock }
		m.config.Floor.Forbidden = []tinker.SuiteID{floorForbids}
		restart := func(t *rapid.T) {
			ps, err := Load(m.config)
			if err != nil {
				t.Fatal(err)
			}
			m.Policies = ps
		}
		restart(t)
		t.Repeat(map[string]func(*rapid.T){
			"":        m.holds,
			"deliver": m.deliver,
			"restart": restart,
			"issue":   func(t *rapid.T) { m.issued = append(m.issued, drawPolicy(t)) },
			"clock": func(t *rapid.T) {
				m.clock = start.Add(time.Duration(rapid.IntRange(-3, 22).Draw(t, "day")) * day)
			},
			"stranger": func(t *rapid.T) {
				signed, err := drawPolicy(t).Sign(stranger.Signer)
				if err != nil {
					t.Fatal(err)
				}
				if err := m.Update(signed); !errors.Is(err, ErrSignature) {
					t.Fatal(err)
				}
			},
			"crash": func(t *rapid.T) {
				signed, err := drawPolicy(t).Sign(m.Signer)
				if err != nil {
					t.Fatal(err)
				}
				part := rapid.IntRange(0, len(signed)).Draw(t, "written")
				if err := os.WriteFile(m.config.Path+".new", signed[:part], 0o600); err != nil {
					t.Fatal(err)
				}
				restart(t)
			},
		})
	})
}
