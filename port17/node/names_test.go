package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
	"safing/port17/cell"
)

// A slow resolver answers when it is told to. Names that begin with x have no
// address.
type slow struct {
	answer chan struct{}

	mu    sync.Mutex
	asked []string
}

func (r *slow) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	r.mu.Lock()
	r.asked = append(r.asked, host)
	r.mu.Unlock()
	select {
	case <-r.answer:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if host[0] == 'x' {
		return nil, errors.New("no such host")
	}
	return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
}

// namesOf calls f with names that are looked up slowly, and a function that
// returns what was delivered so far.
func namesOf(t *testing.T, f func(n *names, r *slow, delivered func() []string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := newExit(netmap.ExitPolicy{}, nil, ExitLimits{})
		r := &slow{answer: make(chan struct{}, 1000)}
		e.resolver = r
		ctx, cancel := context.WithCancel(t.Context())
		var n names
		var mu sync.Mutex
		var got []string
		n.start(ctx, e, func(_ []netip.Addr, port uint16, p []byte) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, fmt.Sprintf("%s:%d", p, port))
		})
		f(&n, r, func() []string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(got)
		})
		cancel()
		n.wait()
		e.close()
	})
}

func TestNames(t *testing.T) {
	namesOf(t, func(n *names, r *slow, delivered func() []string) {
		send := func(host string, port uint16) {
			n.send(cell.Target{Host: host, Port: port}, []byte(host))
		}
		send("a", 1)
		send("a", 2)
		send("xa", 1)
		if got := delivered(); len(got) != 0 {
			t.Errorf("%v before there is an address", got)
		}
		r.answer <- struct{}{}
		r.answer <- struct{}{}
		want := []string{"a:1", "a:2"}
		if got := delivered(); !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		send("a", 3)
		send("xa", 3)
		if got, want := delivered(), append(want, "a:3"); !slices.Equal(got, want) || len(r.asked) != 2 {
			t.Errorf("%v, want %v; asked for %v", got, want, r.asked)
		}
		if got := n.exit.drops[dropName].Load(); got != 2 {
			t.Errorf("%d datagrams to a name without address were dropped, want 2", got)
		}
		<-time.After(nameTime + 1)
		r.answer <- struct{}{}
		if send("a", 4); len(delivered()) != 4 || len(r.asked) != 3 {
			t.Errorf("%v; asked for %v", delivered(), r.asked)
		}
	})
}

func TestNamesBounds(t *testing.T) {
	namesOf(t, func(n *names, r *slow, delivered func() []string) {
		for i := range 100 {
			n.send(cell.Target{Host: fmt.Sprint("a", i), Port: 1}, nil)
		}
		if delivered(); len(r.asked) != maxLookups {
			t.Errorf("%d lookups at a time, want %d", len(r.asked), maxLookups)
		}
		for range 100 {
			n.send(cell.Target{Host: "a0", Port: 1}, make([]byte, 20000))
		}
		if got := n.known["a0"].bytes; got > lookupMemory {
			t.Errorf("%d bytes wait for an address", got)
		}
		for i := range 1000 {
			r.answer <- struct{}{}
			delivered()
			n.send(cell.Target{Host: fmt.Sprint("b", i), Port: 1}, nil)
		}
		if got := len(n.known); got > maxNames {
			t.Errorf("%d names are remembered, want at most %d", got, maxNames)
		}
	})
}

func TestPeersBounds(t *testing.T) {
	var p peers
	at := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(i+1))
	}
	for i := range 10 * maxPeers {
		p.add(at(i))
		p.add(at(0)) // one that is in use stays
		if !p.has(at(i)) || !p.has(at(0)) || !p.has(at(max(0, i-maxPeers/2))) {
			t.Fatalf("a peer was forgotten after %d more", maxPeers/2)
		}
	}
	if n := len(p.young) + len(p.old); n > 2*maxPeers {
		t.Errorf("%d peers, want at most %d", n, 2*maxPeers)
	}
}
