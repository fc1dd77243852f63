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
	failed map[reach]time.Time
}

// A reach is an upstream on one of the two ways to it.
type reach struct {
	server   *server
	tunneled bool
}

var errSlow = errors.New("another one was quicker")

func newForwarder(upstreams []string, roots *x509.CertPool, log *slog.Logger) (*forwarder, error) {
	f := &forwarder{direct: directPatience(), tunneled: tunnelPatience(), log: log, failed: make(map[reach]time.Time)}
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
func (f *forwarder) order(tunneled bool, now time.Time) []*server {
	f.mu.Lock()
	defer f.mu.Unlock()
	var good, bad []*server
	for _, s := range f.servers {
		if at, ok := f.failed[reach{s, tunneled}]; ok && now.Sub(at) < shunned {
			bad = append(bad, s)
		} else {
			good = append(good, s)
		}
	}
	all := append(good, bad...)
	return append(all, all...)
}

func (f *forwarder) note(r reach, err error, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		delete(f.failed, r)
		return
	}
	f.failed[r] = now
	f.log.Debug("ask an upstream", "upstream", r.server.String(), "tunnel", r.tunneled, "error", err)
}

// An attempt is one upstream being asked, and then what came of it.
type attempt struct {
	server *server
	began  time.Time
	answer *answer
	err    error
}

// resolve asks one upstream after the other, the next also when one is slow,
// and returns the first useful answer. It waits for all that it has started.
func (f *forwarder) resolve(ctx context.Context, q dns.Question, dnssec, unchecked bool, p path) (*answer, error) {
	wait, tunneled := f.direct, p.dial != nil
	if tunneled {
		wait = f.tunneled
	}
	ctx, cancel := context.WithTimeout(ctx, wait.total)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	servers := f.order(tunneled, time.Now())
	results := make(chan *attempt, len(servers))
	var pending []*attempt
	start := func() {
		t := &attempt{server: servers[0], began: time.Now()}
		servers, pending = servers[1:], append(pending, t)
		running.Go(func() {
			t.answer, t.err = f.one(ctx, t.server, q, dnssec, unchecked, p, wait.one)
			results <- t
		})
	}
	start()
	slow := time.NewTicker(wait.next)
	defer slow.Stop()
	var errs []error
	for len(pending) > 0 {
		select {
		case t := <-results:
			pending = slices.DeleteFunc(pending, func(x *attempt) bool { return x == t })
			if t.err == nil {
				f.overtaken(pending, t, tunneled, wait.next)
				return t.answer, nil
			}
			errs = append(errs, t.err)
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

// overtaken notes the upstreams that had their time and were not the first to
// answer.
func (f *forwarder) overtaken(pending []*attempt, winner *attempt, tunneled bool, next time.Duration) {
	now := time.Now()
	for _, t := range pending {
		if t.server != winner.server && now.Sub(t.began) >= next {
			f.note(reach{t.server, tunneled}, errSlow, now)
		}
	}
}

// one asks one upstream and notes how it fared, unless nobody waits for it any
// more.
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
	if !errors.Is(ctx.Err(), context.Canceled) {
		f.note(reach{s, p.dial != nil}, err, time.Now())
	}
	return a, err
}
