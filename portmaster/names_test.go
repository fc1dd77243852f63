package portmaster

import (
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"safing/portmaster/kernel"
)

var (
	shared = netip.MustParseAddr("192.0.2.1")
	noon   = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
)

// flows is a kernel table that remembers.
type flows struct {
	set    map[nameKey][]kernel.Case
	writes int
	err    error
}

func (f *flows) SetFlow(app kernel.AppID, addr netip.Addr, cases []kernel.Case) error {
	if f.err != nil {
		return f.err
	}
	if f.set == nil {
		f.set = make(map[nameKey][]kernel.Case)
	}
	f.set[nameKey{app, addr}] = cases
	f.writes++
	return nil
}

func (f *flows) DeleteFlow(app kernel.AppID, addr netip.Addr) error {
	delete(f.set, nameKey{app, addr})
	return nil
}

func all(a kernel.Action, rule uint32) []kernel.Case {
	return []kernel.Case{{PortHigh: 65535, Action: a, Rule: rule}}
}

// newNames judges each domain as rules says.
func newNames(f *flows, rules map[string][]kernel.Case) *names {
	return &names{flows: f, log: slog.New(slog.DiscardHandler), compile: func(q question, _ netip.Addr) []kernel.Case {
		return rules[q.domain]
	}}
}

func learn(t *testing.T, n *names, app kernel.AppID, domain string, at time.Time) {
	t.Helper()
	if err := n.learn(question{app: app, domain: domain}, []netip.Addr{shared}, time.Minute, at); err != nil {
		t.Fatal(err)
	}
}

func TestTwoNamesAtOneAddress(t *testing.T) {
	f := new(flows)
	n := newNames(f, map[string][]kernel.Case{"open.example": all(kernel.Permit, 1), "secret.example": all(kernel.Tunnel, 2)})
	learn(t, n, 1, "secret.example", noon)
	learn(t, n, 1, "open.example", noon)
	key := nameKey{1, shared}
	if got := f.set[key]; !slices.Equal(got, all(kernel.Tunnel, 2)) {
		t.Errorf("a permitted name undid the tunnel of another: %v", got)
	}
	if q, owner := n.domain(1, shared, 2); q.domain != "open.example" || owner != "secret.example" {
		t.Errorf("the last name is %q, the rule is %q's", q.domain, owner)
	}
	if q, owner := n.domain(1, shared, 1); q.domain != "open.example" || owner != "" {
		t.Errorf("with a rule of its own the last name is %q, the rule is %q's", q.domain, owner)
	}
	if q, _ := n.domain(2, shared, 2); q.domain != "" {
		t.Errorf("another application knows the address as %q", q.domain)
	}
	if a, _, ok := n.address(1, "secret.example"); !ok || a != shared {
		t.Errorf("the name's address is %v", a)
	}
}

func TestNamesAreForgotten(t *testing.T) {
	f := new(flows)
	n := newNames(f, map[string][]kernel.Case{"a.example": all(kernel.Deny, 1), "b.example": all(kernel.Permit, 2)})
	learn(t, n, 1, "a.example", noon)
	learn(t, n, 1, "b.example", noon.Add(30*time.Minute))
	n.expire(noon.Add(namesKept + time.Minute))
	if got := f.set[nameKey{1, shared}]; !slices.Equal(got, all(kernel.Permit, 2)) {
		t.Errorf("after the first is too old: %v", got)
	}
	n.expire(noon.Add(2 * namesKept))
	if len(f.set) != 0 || len(n.known) != 0 {
		t.Errorf("after both are too old: %v", f.set)
	}
}

func TestNewRulesHoldForKnownNames(t *testing.T) {
	f := new(flows)
	rules := map[string][]kernel.Case{"a.example": all(kernel.Permit, 1)}
	n := newNames(f, rules)
	learn(t, n, 1, "a.example", noon)
	learn(t, n, 2, "a.example", noon)
	before := f.writes
	n.recompile()
	if f.writes != before {
		t.Error("the same verdict was written again")
	}
	rules["a.example"] = all(kernel.Deny, 3)
	n.recompile()
	for key, got := range f.set {
		if !slices.Equal(got, all(kernel.Deny, 3)) {
			t.Errorf("%v: %v", key, got)
		}
	}
	n.forgetApp(1)
	if keys := slices.Collect(maps.Keys(f.set)); len(keys) != 1 || keys[0].app != 2 {
		t.Errorf("after an application is gone: %v", keys)
	}
}

func TestAnAddressTheKernelDoesNotTakeIsNotAnswered(t *testing.T) {
	f := &flows{err: errors.New("full")}
	n := newNames(f, map[string][]kernel.Case{"a.example": all(kernel.Tunnel, 1)})
	if err := n.learn(question{app: 1, domain: "a.example"}, []netip.Addr{shared}, time.Minute, noon); err == nil {
		t.Error("the answer may go out, but the kernel does not know its address")
	}
}

func TestTheTableOfNamesIsBounded(t *testing.T) {
	f := new(flows)
	n := newNames(f, map[string][]kernel.Case{"a.example": all(kernel.Permit, 1)})
	addr := netip.MustParseAddr("10.0.0.0")
	for range namesLimit + 100 {
		addr = addr.Next()
		if err := n.learn(question{app: 1, domain: "a.example"}, []netip.Addr{addr}, time.Minute, noon); err != nil {
			t.Fatal(err)
		}
	}
	if len(n.known) > namesLimit || len(f.set) != len(n.known) {
		t.Errorf("%d addresses are known, the kernel holds %d", len(n.known), len(f.set))
	}
}
