package resolver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// A patience says how long upstreams are waited for.
type patience struct {
	next  time.Duration // before another one is asked as well
	one   time.Duration // for one of them
	total time.Duration // for all
}

func directPatience() patience {
	return patience{next: 400 * time.Millisecond, one: 2 * time.Second, total: 5 * time.Second}
}

// tunnelPatience leaves time for a circuit to be built.
func tunnelPatience() patience {
	return patience{next: 2500 * time.Millisecond, one: 8 * time.Second, total: 10 * time.Second}
}

// shunned is how long an upstream that failed is asked after the others.
const shunned = 10 * time.Second

// A forwarder asks upstreams.
type forwarder struct {
	servers          []*server
	direct, tunneled patience
	log              *slog.Logger

	mu     sync.Mutex
	failed map[*server]time.Time
}

func newForwarder(upstreams []string, roots *x509.CertPool, log *slog.Logger) (*forwarder, error) {
	f := &forwarder{direct: directPatience(), tunneled: tunnelPatience(), log: log, failed: make(map[*server]time.Time)}
	base := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(32)}
	for _, text := range upstreams {
		u, err := ParseUpstream(text)
		if err != nil {
			return nil, err
		}
		f.servers = append(f.servers, newServer(u, base))
	}
	return f, nil
}

// close closes the connections that wait.
func (f *forwarder) close() {
	for _, s := range f.servers {
		s.pool.close()
	}
}

// order lists the upstreams in the order in which they are asked: those that
// failed a moment ago come last. All are in it twice, as a packet may be lost.
func (f *forwarder) order(now time.Time) []*server {
	f.mu.Lock()
	defer f.mu.Unlock()
	var good, bad []*server
	for _, s := range f.servers {
		if at, ok := f.failed[s]; ok && now.Sub(at) < shunned {
			bad = append(bad, s)
		} else {
			good = append(good, s)
		}
	}
	all := append(good, bad...)
	return append(all, all...)
}

func (f *forwarder) note(s *server, err error, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.failed, s)
		return
	}
	f.failed[s] = now
	f.log.Debug("ask an upstream", "upstream", s.String(), "error", err)
}

// attempt is what came of asking one upstream.
type attempt struct {
	answer *answer
	err    error
}

// resolve asks one upstream after the other, the next also when one is slow,
// and returns the first useful answer. It waits for all that it has started.
func (f *forwarder) resolve(ctx context.Context, q dns.Question, dnssec, unchecked bool, p path) (*answer, error) {
	wait := f.direct
	if p.dial != nil {
		wait = f.tunneled
	}
	ctx, cancel := context.WithTimeout(ctx, wait.total)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	servers := f.order(time.Now())
	results := make(chan attempt, len(servers))
	pending := 0
	start := func() {
		s := servers[0]
		servers = servers[1:]
		pending++
		running.Go(func() {
			a, err := f.one(ctx, s, q, dnssec, unchecked, p, wait.one)
			results <- attempt{a, err}
		})
	}
	start()
	slow := time.NewTicker(wait.next)
	defer slow.Stop()
	var errs []error
	for pending > 0 {
		select {
		case r := <-results:
			pending--
			if r.err == nil {
				return r.answer, nil
			}
			if !slices.ContainsFunc(errs, func(e error) bool { return e.Error() == r.err.Error() }) {
				errs = append(errs, r.err)
			}
			if len(servers) > 0 && ctx.Err() == nil {
				start()
			}
		case <-slow.C:
			if len(servers) > 0 {
				start()
			}
		}
	}
	return nil, errors.Join(errs...)
}

// one asks one upstream and notes how it fared, unless another was quicker.
func (f *forwarder) one(ctx context.Context, s *server, q dns.Question, dnssec, unchecked bool, p path, limit time.Duration) (*answer, error) {
	own, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reply, err := s.ask(own, q, dnssec, unchecked, p)
	var a *answer
	if err == nil {
		a, err = readAnswer(reply, q)
	}
	if err != nil {
		err = fmt.Errorf("ask %s: %w", s.Upstream, err)
	}
	if p.dial == nil && !errors.Is(ctx.Err(), context.Canceled) {
		f.note(s, err, time.Now())
	}
	return a, err
}
