package node

import (
	"errors"
	"hash/maphash"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"

	"safing/netmap"
	"safing/port17/cell"
)

// ExitLimits keep an exit from being used against others. They hold for public
// addresses: to one that is not public the policy leads only if a rule names it,
// and then the operator serves it.
type ExitLimits struct {
	// Connections is how many connections and sockets there may be at once; 0
	// means 8192.
	Connections int
	// CircuitRate is how many connections, associations and addresses of
	// datagrams one circuit may begin with in a second; 0 means 50. 256 may come at once.
	CircuitRate float64
	// DestinationRate is how many that may be to one IPv4 address or /64, from
	// all circuits; 0 means 50. Twenty times as many may come at once.
	DestinationRate float64
}

const (
	defaultConnections = 8192
	defaultExitRate    = 50
	circuitBurst       = 256 // as many as a circuit has streams
	destinationSeconds = 20  // whose connections may come at once
	maxDestinations    = 16 << 10
	maxLookupsTCP      = 1024 // of names, at a time
)

func (l ExitLimits) withDefaults() ExitLimits {
	if l.Connections <= 0 {
		l.Connections = defaultConnections
	}
	if l.CircuitRate <= 0 {
		l.CircuitRate = defaultExitRate
	}
	if l.DestinationRate <= 0 {
		l.DestinationRate = defaultExitRate
	}
	return l
}

var (
	errCrowded = errors.New("node: too many connections to the destination")
	errTooFast = errors.New("node: too many connections of the circuit")
)

// A budget is what a circuit may begin with, and what it has.
type budget struct {
	*rate.Limiter
	connections, associations int         // those of exit.slots and exit.associations
	reads                     *readership // nil before the first; belongs to exit.accept
}

func (e *exit) newBudget() *budget {
	return &budget{Limiter: rate.NewLimiter(rate.Limit(e.limits.CircuitRate), circuitBurst)}
}

func (b *budget) take() bool { return b.Allow() }

// limited says whether a connection to the target counts. Where a name leads is
// not known before it has cost a lookup.
func limited(to cell.Target) bool {
	if to.Host != "" {
		return !isLocalhost(to.Host)
	}
	return netmap.IsPublic(to.Addr)
}

// destinations count the connections to each. Their number is fixed: of more
// destinations some share a count, and nobody can choose which.
type destinations struct {
	rate  rate.Limit
	seed  maphash.Seed
	mu    sync.Mutex
	count map[uint64]*rate.Limiter // by hash, fewer than maxDestinations
}

func newDestinations(perSecond float64) destinations {
	return destinations{rate: rate.Limit(perSecond), seed: maphash.MakeSeed(), count: make(map[uint64]*rate.Limiter)}
}

// take says whether one more connection may go to the address now.
func (d *destinations) take(to netip.Addr) bool {
	if !netmap.IsPublic(to) {
		return true
	}
	bits := 32
	if to = to.Unmap(); to.Is6() {
		bits = 64
	}
	network, err := to.Prefix(bits)
	if err != nil {
		return false
	}
	key := maphash.Comparable(d.seed, network.Addr()) % maxDestinations
	d.mu.Lock()
	l := d.count[key]
	if l == nil {
		l = rate.NewLimiter(d.rate, max(1, int(d.rate*destinationSeconds)))
		d.count[key] = l
	}
	d.mu.Unlock()
	return l.Allow()
}
