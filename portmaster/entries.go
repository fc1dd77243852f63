package portmaster

import (
	"net/netip"
	"strconv"
	"time"

	"safing/internal/geo"
	"safing/portmaster/history"
	"safing/portmaster/kernel"
	"safing/portmaster/process"
	"safing/portmaster/verdict"
	"safing/profile"
)

// A describer turns what the kernel reports into what people read.
type describer struct {
	apps    *apps
	names   *names
	geo     *geo.DB // nil knows no country
	process func(kernel.Process) process.Info
	rule    func(id uint32) (verdict.Decision, bool)
}

// An attempt is a connection as the kernel saw it.
type attempt struct {
	at          time.Time
	process     kernel.Process
	app         kernel.AppID
	protocol    uint8
	destination netip.AddrPort
	action      kernel.Action
	rule        uint32
}

func (d *describer) event(e kernel.Event) history.Connection {
	return d.describe(attempt{e.Time, e.Process, e.App, e.Protocol, e.Destination, e.Action, e.Rule})
}

func (d *describer) redirect(r kernel.Redirect) history.Connection {
	return d.describe(attempt{time.Now(), r.Process, r.App, protocolTCP, r.Destination, kernel.Tunnel, r.Rule})
}

func (d *describer) describe(a attempt) history.Connection {
	addr := a.destination.Addr().Unmap()
	c := history.Connection{
		Kind: history.KindConnect, Started: a.at.UTC(),
		App: d.apps.known(a.app), Process: d.who(a.process),
		Protocol:    protocolName(a.protocol),
		Destination: history.Destination{Address: addr, Port: a.destination.Port(), Country: d.geo.Country(addr)},
		Verdict:     actionName(a.action),
	}
	asked, owner := d.names.domain(a.app, addr, a.rule)
	c.Destination.Domain = asked.domain
	c.Reason, c.Rule = d.why(a)
	if owner != "" {
		c.Reason += ", which holds for " + owner + " at the same address"
	}
	return c
}

// why is the reason of the rule that the kernel applied.
func (d *describer) why(a attempt) (reason, rule string) {
	r, ok := d.rule(a.rule)
	switch {
	case !ok && a.action == kernel.Deny:
		return "no rule permits it", ""
	case !ok:
		return "a rule that has been removed since", ""
	case a.action == kernel.Deny && r.Action == profile.Tunnel:
		return "only TCP can be tunnelled, so this was not sent: " + r.Reason, r.Rule
	default:
		return r.Reason, r.Rule
	}
}

// who is the process, with its executable at least.
func (d *describer) who(p kernel.Process) history.Process {
	i := d.process(p)
	return history.Process{PID: p.PID, Path: i.Path, Args: i.Args, Cgroup: i.Cgroup, UID: p.UID}
}

func protocolName(p uint8) string {
	switch p {
	case protocolTCP:
		return "tcp"
	case protocolUDP:
		return "udp"
	default:
		return strconv.Itoa(int(p))
	}
}

// keyOf names a connection in the same way for the kernel's events and the
// gateway.
func keyOf(cookie uint64, protocol uint8, to netip.AddrPort) history.Key {
	return history.Key{
		Cookie: cookie, Protocol: protocolName(protocol),
		Destination: netip.AddrPortFrom(to.Addr().Unmap(), to.Port()),
	}
}
