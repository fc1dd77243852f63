package authority

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"safing/netmap"
)

// Limits keep strangers from filling an authority's disk and time.
type Limits struct {
	// NodeRate is how many descriptors, and as many keys, a node may publish in a
	// second; 0 means one in 15 seconds, or 16 in a period if that is more. 32
	// may come at once.
	NodeRate float64
	// SourceRate is how much may come in a second from one /24 of IPv4 or /48 of
	// IPv6, in which hundreds of nodes may be; 0 means 20, or 4000 in a period if
	// that is more. 1024 may come at once.
	SourceRate float64
}

const (
	defaultNodeRate   = 1.0 / 15
	nodeBurst         = 32
	defaultSourceRate = 20
	sourceBurst       = 1024

	// A short period needs more: what is published in it by a node, and a source.
	nodeInPeriod   = 16
	sourceInPeriod = 4000

	maxBuckets = 64 << 10
	// Objects of another authority: in a second, in a short period, and at once.
	authorRate     = 128
	authorInPeriod = 4 * sourceInPeriod
	authorBurst    = maxQueued
)

func (l Limits) withDefaults(period time.Duration) Limits {
	if l.NodeRate <= 0 {
		l.NodeRate = max(defaultNodeRate, nodeInPeriod/period.Seconds())
	}
	if l.SourceRate <= 0 {
		l.SourceRate = max(defaultSourceRate, sourceInPeriod/period.Seconds())
	}
	return l
}

// errTooMuch means that somebody has published more than is allowed.
var errTooMuch = errors.New("too much at once")

// buckets count what each of many has sent. Their number is fixed: of more some
// share a count, and nobody can choose which.
type buckets[K comparable] struct {
	rate  rate.Limit
	burst int
	seed  maphash.Seed

	mu    sync.Mutex
	count map[uint64]*rate.Limiter // by hash, fewer than maxBuckets
}

func newBuckets[K comparable](perSecond float64, burst int) *buckets[K] {
	return &buckets[K]{rate: rate.Limit(perSecond), burst: burst, seed: maphash.MakeSeed(), count: make(map[uint64]*rate.Limiter)}
}

// take says whether one more may come from the key now.
func (b *buckets[K]) take(key K) bool { return b.takeMany(key, 1) }

// takeMany says whether so many more may come.
func (b *buckets[K]) takeMany(key K, n int) bool {
	h := maphash.Comparable(b.seed, key) % maxBuckets
	b.mu.Lock()
	l := b.count[h]
	if l == nil {
		l = rate.NewLimiter(b.rate, b.burst)
		b.count[h] = l
	}
	b.mu.Unlock()
	return l.AllowN(time.Now(), n)
}

// limits are what an authority has counted.
type limits struct {
	descriptors, keys *buckets[netmap.NodeID]
	sources           *buckets[netip.Prefix]
	authors           *buckets[uint32]
}

func newLimits(l Limits, period time.Duration) *limits {
	l = l.withDefaults(period)
	return &limits{
		descriptors: newBuckets[netmap.NodeID](l.NodeRate, nodeBurst),
		keys:        newBuckets[netmap.NodeID](l.NodeRate, nodeBurst),
		sources:     newBuckets[netip.Prefix](l.SourceRate, sourceBurst),
		authors:     newBuckets[uint32](max(authorRate, authorInPeriod/period.Seconds()), authorBurst),
	}
}

// source counts one more request from an address as net/http has it, before
// anything of it is read, and returns the /24 or /48 that the address is in. The
// error wraps errTooMuch.
func (l *limits) source(remote string) (netip.Prefix, error) {
	from, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("where the request comes from: %w", err)
	}
	bits := 24
	addr := from.Addr().Unmap().WithZone("")
	if addr.Is6() {
		bits = 48
	}
	network, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("where the request comes from: %w", err)
	}
	if !l.sources.take(network) {
		return netip.Prefix{}, fmt.Errorf("%w from the network %s: try again later", errTooMuch, network)
	}
	return network, nil
}

// node counts one more descriptor, or keys, that the node has signed. It wraps
// errTooMuch.
func (l *limits) node(of *buckets[netmap.NodeID], id netmap.NodeID) error {
	if !of.take(id) {
		return fmt.Errorf("%w from node %s: publish less often", errTooMuch, id.Short())
	}
	return nil
}
