package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"safing/internal/socks"
)

// A Proxy is a client's SOCKS proxy.
type Proxy struct {
	Addr string
	// In runs a function where the proxy can be reached, such as in a network
	// namespace; nil means right here.
	In func(func() error) error
}

func (p Proxy) in(f func() error) error {
	if p.In == nil {
		return f()
	}
	return p.In(f)
}

// Config says what a load does.
type Config struct {
	Proxies []Proxy
	TCP     string         // of the server
	UDP     netip.AddrPort // of the server
	Seed    uint64
	// Workers is how many streams of each kind are open at a time, over each
	// proxy; 0 means 1. Small requests have four times as many.
	Workers int
	// Bulk is how many bytes the greatest streams have; 0 means 64 MiB.
	Bulk int64
	// Idle is for how long streams are idle or stalled at most; 0 means 30 s.
	Idle time.Duration
	// Patience is after what time without a byte or an error a stream is stuck;
	// 0 means three minutes: a link that says nothing breaks after one.
	Patience time.Duration
}

func (c Config) withDefaults() Config {
	if c.Workers <= 0 {
		c.Workers = 1
	}
	if c.Bulk <= 0 {
		c.Bulk = 64 << 20
	}
	if c.Idle <= 0 {
		c.Idle = 30 * time.Second
	}
	if c.Patience <= 0 {
		c.Patience = 3 * time.Minute
	}
	return c
}

// A Load opens streams through a network. Run may be called again.
type Load struct {
	config Config
	tally  tally
}

// New makes a load. It opens nothing yet.
func New(c Config) *Load { return &Load{config: c.withDefaults()} }

// Counts returns what became of the streams so far.
func (l *Load) Counts() Counts { return l.tally.counts() }

// Run opens streams until the context ends, waits for those that are open, and
// returns.
func (l *Load) Run(ctx context.Context) {
	var running sync.WaitGroup
	stream := uint64(0)
	for _, proxy := range l.config.Proxies {
		for _, job := range jobs() {
			for range job.times * l.config.Workers {
				stream++
				w := &worker{load: l, proxy: proxy, job: job, lots: rand.New(rand.NewPCG(l.config.Seed, stream))}
				running.Go(func() { w.run(ctx) })
			}
		}
	}
	running.Wait()
}

// Probe makes a small request through each proxy and returns the first error.
func (l *Load) Probe(ctx context.Context) error {
	for i, p := range l.config.Proxies {
		w := &worker{load: l, proxy: p, lots: rand.New(rand.NewPCG(rand.Uint64(), 0))}
		if err := small(ctx, w); err != nil {
			return fmt.Errorf("a small request through proxy %d: %w", i+1, err)
		}
	}
	return nil
}

// A job is what a worker does again and again.
type job struct {
	name  string
	times int // workers
	run   func(context.Context, *worker) error
}

func jobs() []job {
	return []job{
		{"small", 4, small},
		{"download", 1, bulkDown},
		{"upload", 1, bulkUp},
		{"half-close", 1, halfClose},
		{"idle", 4, idle},
		{"stall", 1, stall},
		{"vanish", 1, vanish},
		{"cut", 1, cutByServer},
		{"datagrams", 1, datagrams},
	}
}

// A worker opens one stream after the other.
type worker struct {
	load  *Load
	proxy Proxy
	job   job
	lots  *rand.Rand
}

func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := w.job.run(ctx, w)
		w.load.tally.add(w.job.name, err)
		if err != nil { // the proxy is not asked all the time when the network is down
			w.pause(ctx, 100*time.Millisecond, 500*time.Millisecond)
		}
	}
}

// pause waits for a time between the two, or until ctx ends.
func (w *worker) pause(ctx context.Context, least, most time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(least + time.Duration(w.lots.Int64N(int64(most-least)+1))):
	}
}

// size is one between the two; small ones are as likely as great ones.
func (w *worker) size(least, most int64) int64 {
	for most>>1 > least && w.lots.IntN(2) == 0 {
		most >>= 1
	}
	return least + w.lots.Int64N(most-least+1)
}

// user is one of a few, so that streams share circuits and don't.
func (w *worker) user() string { return fmt.Sprint("user", w.lots.IntN(8)) }

// dial connects to the proxy.
func (w *worker) dial() (wire, error) {
	var conn net.Conn
	err := w.proxy.in(func() (err error) {
		conn, err = net.DialTimeout("tcp", w.proxy.Addr, w.load.config.Patience)
		return err
	})
	if err != nil {
		return wire{}, err
	}
	return wire{conn.(*net.TCPConn), w.load.config.Patience}, nil
}

// open opens a stream and sends its request.
func (w *worker) open(k kind, size int64) (wire, *pattern, error) {
	conn, err := w.dial()
	if err != nil {
		return wire{}, nil, err
	}
	r := request{k, w.lots.Uint64(), size}
	if err = socks.Connect(conn, w.user(), w.load.config.TCP); err == nil {
		_, err = conn.Write(r.append(nil))
	}
	if err != nil {
		conn.Close()
		return wire{}, nil, err
	}
	return conn, newPattern(r.number), nil
}
