package portmaster

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"safing/portmaster/history"
	"safing/portmaster/kernel"
	"safing/portmaster/verdict"
	"safing/profile"
)

const (
	refusalsLimit  = 1024            // refused questions remembered
	refusalsFolded = 5 * time.Second // the same question in this time is one entry
)

// questions answers what the resolver asks about a DNS question: who asks,
// whether the name may be resolved, and that its addresses are known before
// the answer goes out.
type questions struct {
	origins  origins
	apps     *apps
	names    *names
	table    *history.Table
	describe *describer
	engine   domainJudge

	mu       sync.Mutex
	refusals map[refusal]time.Time
}

// A domainJudge decides about names.
type domainJudge interface {
	DecideDomain(app, domain string, cnames []string) (verdict.Decision, bool)
}

// An asker is who asked a question.
type asker struct {
	process kernel.Process
	app     kernel.AppID
}

// A refusal is one program's question for one name.
type refusal struct {
	pid    int
	domain string
}

// asker finds out who sent a question from an address.
func (q *questions) asker(from netip.AddrPort, protocol uint8) (asker, error) {
	r, err := q.origins.Original(netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), protocol)
	if err != nil {
		return asker{}, fmt.Errorf("find out who asks: %w", err)
	}
	return asker{r.Process, r.App}, nil
}

// allowed says whether the name may be resolved, with the names that its
// answer led over. A refusal is listed.
func (q *questions) allowed(a asker, domain string, cnames []string, now time.Time) (verdict.Decision, bool) {
	app := q.apps.known(a.app)
	d, decided := q.engine.DecideDomain(app.ID, domain, cnames)
	if !decided {
		return verdict.Decision{}, true // it is judged when it is connected to
	}
	if d.Action != profile.Deny {
		return d, true
	}
	if q.fresh(refusal{a.process.PID, domain}, now) {
		id := q.table.Add(history.Connection{
			Kind: history.KindDNS, Started: now.UTC(), App: app, Process: q.describe.who(a.process), Protocol: "udp",
			Destination: history.Destination{Domain: domain}, Verdict: "deny", Reason: d.Reason, Rule: d.Rule,
		})
		q.table.End(id, now.UTC(), "")
	}
	return d, false
}

// fresh says whether a refusal is worth an entry: programs ask for IPv4 and
// IPv6 addresses at a time, and again when they are refused.
func (q *questions) fresh(r refusal, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	last, known := q.refusals[r]
	if known && now.Sub(last) < refusalsFolded {
		return false
	}
	if len(q.refusals) >= refusalsLimit || q.refusals == nil {
		q.refusals = make(map[refusal]time.Time)
	}
	q.refusals[r] = now
	return true
}

// learn has the kernel know the answer's addresses before the application
// does.
func (q *questions) learn(a asker, domain string, cnames []string, addrs []netip.Addr, ttl time.Duration, now time.Time) error {
	return q.names.learn(question{app: a.app, domain: domain, cnames: cnames}, addrs, ttl, now)
}
