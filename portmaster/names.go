package portmaster

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"safing/portmaster/kernel"
)

const (
	namesLimit   = 1 << 15          // addresses remembered, over all applications
	namesPerAddr = 8                // names remembered for one address
	namesKept    = time.Hour        // at least so long: programs cache answers
	namesLongest = 24 * time.Hour   // and at most, whatever the answer says
	namesSweep   = 30 * time.Second // how often what is too old is forgotten
)

// A flowTable is the kernel's table of exact addresses.
type flowTable interface {
	SetFlow(app kernel.AppID, addr netip.Addr, cases []kernel.Case) error
	DeleteFlow(app kernel.AppID, addr netip.Addr) error
}

// A question is a name that an application asked for.
type question struct {
	app    kernel.AppID
	domain string
	cnames []string
}

// names remembers which application got which address for which name, and
// keeps the kernel's verdicts for these addresses.
type names struct {
	flows   flowTable
	compile func(q question, addr netip.Addr) []kernel.Case
	log     *slog.Logger

	mu    sync.Mutex
	known map[nameKey]*address
}

type nameKey struct {
	app  kernel.AppID
	addr netip.Addr
}

// An address is what is known of one address for one application.
type address struct {
	names []name // the last asked for at the end
	cases []kernel.Case
}

type name struct {
	question
	cases   []kernel.Case
	expires time.Time
}

// learn takes an answer before the application gets it. When it returns nil,
// the kernel judges connections to the addresses by the name.
func (n *names) learn(q question, addrs []netip.Addr, ttl time.Duration, now time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil {
		n.known = make(map[nameKey]*address)
	}
	expires := now.Add(min(max(ttl, namesKept), namesLongest))
	for _, addr := range addrs {
		key := nameKey{q.app, addr.Unmap()}
		a := n.known[key]
		if a == nil {
			n.makeRoomLocked(now)
			a = new(address)
			n.known[key] = a
		}
		a.remember(name{q, n.compile(q, key.addr), expires})
		if err := n.applyLocked(key, a); err != nil {
			return err
		}
	}
	return nil
}

// remember puts a name at the end and forgets the one not asked for longest
// when there are too many.
func (a *address) remember(n name) {
	a.names = slices.DeleteFunc(a.names, func(o name) bool { return o.domain == n.domain })
	a.names = append(a.names, n)
	if len(a.names) > namesPerAddr {
		a.names = slices.Delete(a.names, 0, len(a.names)-namesPerAddr)
	}
}

// applyLocked writes the joined verdict of an address's names to the kernel,
// if it is another than before.
func (n *names) applyLocked(key nameKey, a *address) error {
	lists := make([][]kernel.Case, len(a.names))
	for i := range a.names {
		lists[i] = a.names[i].cases
	}
	cases := strictest(lists)
	if a.cases != nil && slices.Equal(cases, a.cases) {
		return nil
	}
	if err := n.flows.SetFlow(key.app, key.addr, cases); err != nil {
		delete(n.known, key)
		return err
	}
	a.cases = cases
	return nil
}

// makeRoomLocked forgets an address when the table is full: one that is too
// old if a short look finds one, else any.
func (n *names) makeRoomLocked(now time.Time) {
	if len(n.known) < namesLimit {
		return
	}
	looked := 0
	var victim nameKey
	var oldest time.Time
	for key, a := range n.known {
		if e := a.names[len(a.names)-1].expires; looked == 0 || e.Before(oldest) {
			victim, oldest = key, e
		}
		if looked++; looked == 32 || oldest.Before(now) {
			break
		}
	}
	n.forgetLocked(victim)
}

func (n *names) forgetLocked(key nameKey) {
	delete(n.known, key)
	if err := n.flows.DeleteFlow(key.app, key.addr); err != nil {
		n.log.Warn("remove an address from the kernel", "error", err)
	}
}

// expire forgets what is too old.
func (n *names) expire(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key, a := range n.known {
		before := len(a.names)
		a.names = slices.DeleteFunc(a.names, func(o name) bool { return o.expires.Before(now) })
		if len(a.names) == 0 {
			n.forgetLocked(key)
		} else if len(a.names) != before {
			n.applyOrForgetLocked(key, a)
		}
	}
}

// recompile judges every known name again, after the rules changed.
func (n *names) recompile() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key, a := range n.known {
		for i := range a.names {
			a.names[i].cases = n.compile(a.names[i].question, key.addr)
		}
		n.applyOrForgetLocked(key, a)
	}
}

func (n *names) applyOrForgetLocked(key nameKey, a *address) {
	if err := n.applyLocked(key, a); err != nil {
		n.log.Error("write an address to the kernel", "error", err)
		n.forgetLocked(key)
	}
}

// forgetApp forgets everything about an application that is gone.
func (n *names) forgetApp(app kernel.AppID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key := range n.known {
		if key.app == app {
			n.forgetLocked(key)
		}
	}
}

// domain is the name that the application asked for last of those with the
// address. Where the kernel's rule comes from another of them, which the
// stricter verdict of both is owed to, that is the owner.
func (n *names) domain(app kernel.AppID, addr netip.Addr, rule uint32) (last question, owner string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.known[nameKey{app, addr.Unmap()}]
	if a == nil {
		return question{}, ""
	}
	last = a.names[len(a.names)-1].question
	for _, o := range slices.Backward(a.names) {
		if slices.ContainsFunc(o.cases, func(c kernel.Case) bool { return c.Rule == rule }) {
			if o.domain != last.domain {
				owner = o.domain
			}
			break
		}
	}
	return last, owner
}

// address is one that the application got for the name.
func (n *names) address(app kernel.AppID, domain string) (addr netip.Addr, cnames []string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key, a := range n.known {
		if key.app != app {
			continue
		}
		for _, o := range a.names {
			if o.domain == domain {
				return key.addr, o.cnames, true
			}
		}
	}
	return netip.Addr{}, nil, false
}

// run forgets what is too old until ctx ends.
func (n *names) run(ctx context.Context) {
	for wait(ctx, namesSweep) {
		n.expire(time.Now())
	}
}
