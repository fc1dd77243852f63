package client

import (
	"crypto/ed25519"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/link"
	"safing/port17/link/wrap"
	"safing/port17/route"
	"safing/tinker"
)

// A listed is a node that an entries' test can connect to.
type listed struct {
	netmap.Node
	dialled atomic.Int64 // in plain TCP
	mu      sync.Mutex
	links   []*link.Link
}

// newListed starts a node. In plain TCP it is one if it is honest, and otherwise
// says nothing that makes sense.
func newListed(t *testing.T, honest bool, in ...netmap.Wrapping) *listed {
	t.Helper()
	id, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &netmap.Descriptor{ID: netmap.NodeID(id), Name: "n", Owner: "o"}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.Addresses = append(d.Addresses, tcp.Addr().(*net.TCPAddr).AddrPort())
	listeners := []net.Listener{tcp}
	for _, w := range in {
		l, err := wrap.Listen(t.Context(), w, "127.0.0.1:0", wrap.Config{Node: d.ID})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Wait)
		listeners = append(listeners, l)
		d.Entrances = append(d.Entrances, netmap.Entrance{Wrapping: w, Addr: netip.MustParseAddrPort(l.Addr().String())})
	}
	keys, err := tinker.NewPrekeys(tinker.PrekeyConfig{Identity: d.ID, Binding: d.Binding()})
	if err != nil {
		t.Fatal(err)
	}
	n := &listed{Node: netmap.Node{Descriptor: d, Keys: &netmap.Keys{ID: d.ID, Binding: d.Binding(), Prekeys: keys.Public()}}}
	var running sync.WaitGroup
	for i, l := range listeners {
		running.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				running.Go(func() {
					defer conn.Close()
					if i == 0 {
						n.dialled.Add(1)
					}
					if i == 0 && !honest {
						io.ReadFull(conn, make([]byte, cell.Size)) //nolint:errcheck // the link tells
						conn.Write(make([]byte, cell.Size))        //nolint:errcheck // the link tells
						return
					}
					n.serve(t, conn, keys)
				})
			}
		})
	}
	t.Cleanup(func() {
		for _, l := range listeners {
			l.Close()
		}
		n.mu.Lock()
		for _, l := range n.links {
			l.Close()
		}
		n.mu.Unlock()
		running.Wait()
	})
	return n
}

func (n *listed) serve(t *testing.T, conn net.Conn, keys *tinker.Prekeys) {
	l, err := link.Accept(conn, keys, link.Config{Accept: func(*link.Leg) link.Receiver { return deaf{} }})
	if err != nil {
		return // whoever wanted it has gone
	}
	n.mu.Lock()
	n.links = append(n.links, l)
	n.mu.Unlock()
	<-l.Done()
}

// deaf receives nothing.
type deaf struct{}

func (deaf) Receive([]byte)            {}
func (deaf) Closed(cell.Reason, uint8) {}

func openEntries(t *testing.T) *entries {
	e := newEntries(Config{Log: slog.New(slog.DiscardHandler), Wrappings: allWrappings, Parallel: 2}, nil)
	t.Cleanup(e.close)
	return e
}

// until waits for something that comes about by itself.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

func (e *entries) count(id netmap.NodeID) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.nodes[id].links)
}

// Circuits are spread over a few links to an entry, and one that has broken is
// replaced; the others stay.
func TestParallelEntryLinks(t *testing.T) {
	n, e := newListed(t, true), openEntries(t)
	open := func() *link.Link {
		t.Helper()
		l, err := e.link(t.Context(), n.Node)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Open(deaf{}, []*cell.Buf{l.Pool().Get()}); err != nil {
			t.Fatal(err)
		}
		return l
	}
	first := open()
	until(t, "there is no second link", func() bool {
		if _, err := e.link(t.Context(), n.Node); err != nil {
			t.Fatal(err)
		}
		return e.count(n.ID) == 2
	})
	second := open()
	for range 4 {
		open()
	}
	if second == first || first.Legs() != 3 || second.Legs() != 3 {
		t.Errorf("links with %d and %d circuits, want two with 3 each", first.Legs(), second.Legs())
	}
	until(t, "the entry was not dialled twice", func() bool { return n.dialled.Load() == 2 })
	first.Close()
	<-first.Done()
	if l := open(); l != second {
		t.Error("a circuit does not go over the link that is left")
	}
	until(t, "the broken link was not replaced", func() bool {
		if _, err := e.link(t.Context(), n.Node); err != nil {
			t.Fatal(err)
		}
		return e.count(n.ID) == 2
	})
	if second.Err() != nil {
		t.Errorf("the other link has ended: %v", second.Err())
	}
}

// Whoever accepts connections at an entry's address gets one at a time, and no
// more as soon as another way leads to the entry.
func TestImpostor(t *testing.T) {
	n, e := newListed(t, false, netmap.TLS), openEntries(t)
	l, err := e.link(t.Context(), n.Node)
	if err != nil {
		t.Fatal(err)
	}
	<-l.Done()
	until(t, "the link is kept", func() bool { return e.count(n.ID) == 0 })
	if got := n.dialled.Load(); got != 1 || l.Wrapping() != netmap.TCP {
		t.Errorf("the impostor was dialled %d times", got)
	}
	for range 3 {
		if l, err = e.link(t.Context(), n.Node); err != nil {
			t.Fatal(err)
		}
		if l.Wrapping() != netmap.TLS {
			t.Errorf("the link is in %s, want tls", l.Wrapping())
		}
		until(t, "the entry does not answer", func() bool { return l.RTT() > 0 })
		l.Close()
		<-l.Done()
	}
	e.mu.Lock()
	to := e.nodes[n.ID]
	to.shunned[netmap.TCP] = time.Now()
	order := to.orderLocked(allWrappings)
	e.mu.Unlock()
	if !slices.Equal(order, allWrappings) {
		t.Errorf("after a while the order is %v, want %v", order, allWrappings)
	}
}

// A client that is to use a wrapping draws entries that offer it, and leaves those
// that it had before.
func TestSampleOffersWrapping(t *testing.T) {
	m := newMap(t, 0, 20, func(i int, d *netmap.Descriptor) {
		if i%4 == 0 {
			d.Entrances = []netmap.Entrance{{Wrapping: netmap.TLS, Addr: d.Addresses[0]}}
		}
	})
	path := filepath.Join(t.TempDir(), "entries.json")
	before, f := newSample(path, allWrappings, slog.New(slog.DiscardHandler)), route.New(m)
	before.update(m)
	for range 20 {
		before.entries(f, nil, maxEntries)
	}
	only := newSample(path, []netmap.Wrapping{netmap.TLS}, before.log)
	only.update(m)
	ids := only.entries(f, nil, wantEntries)
	if len(ids) != wantEntries {
		t.Fatalf("%d entries, want %d", len(ids), wantEntries)
	}
	for _, id := range ids {
		if n, _ := m.Node(id); len(n.Entrances) == 0 {
			t.Errorf("entry %s does not offer TLS", n.Name)
		}
	}
}
