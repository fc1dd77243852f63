package link_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/link"
	"safing/tinker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A node is what the map says about one, and who takes its links.
type node struct {
	netmap.Node
	key      ed25519.PrivateKey
	keys     *tinker.Prekeys
	accepted chan accepted
}

type accepted struct {
	link *link.Link
	err  error
}

func newNode(t testing.TB, at ...netip.AddrPort) *node {
	t.Helper()
	id, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &netmap.Descriptor{ID: netmap.NodeID(id), Name: "node", Owner: "owner", Addresses: at}
	keys, err := tinker.NewPrekeys(tinker.PrekeyConfig{Identity: d.ID, Binding: d.Binding()})
	if err != nil {
		t.Fatal(err)
	}
	return &node{Node: describe(d, keys), key: key, keys: keys, accepted: make(chan accepted, 100)}
}

// describe returns what the map says about a node.
func describe(d *netmap.Descriptor, keys *tinker.Prekeys) netmap.Node {
	return netmap.Node{Descriptor: d, Keys: &netmap.Keys{ID: d.ID, Binding: d.Binding(), Prekeys: keys.Public()}}
}

// listen starts a node that accepts links until the test ends.
func listen(t testing.TB, c link.Config) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t, l.Addr().(*net.TCPAddr).AddrPort())
	n.serve(t, l, c)
	return n
}

// serve accepts links from the listener until the test ends.
func (n *node) serve(t testing.TB, l net.Listener, c link.Config) {
	t.Helper()
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				a, err := link.Accept(conn, n.keys, c)
				if err != nil {
					conn.Close()
				}
				n.accepted <- accepted{a, err}
				if err == nil {
					<-t.Context().Done()
					end(t, a)
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
}

func (n *node) link(t testing.TB) *link.Link {
	t.Helper()
	a := <-n.accepted
	if a.err != nil {
		t.Fatal(a.err)
	}
	return a.link
}

func dial(t testing.TB, to netmap.Node, c link.Config) *link.Link {
	t.Helper()
	l, err := link.Dial(t.Context(), to, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, l) })
	return l
}

// end closes a link and sees that it leaves nothing.
func end(t testing.TB, l *link.Link) {
	t.Helper()
	l.Close()
	<-l.Done()
	if n, legs := l.Pool().Used(), l.Legs(); n != 0 || legs != 0 {
		t.Errorf("a link that has ended holds %d cells and %d circuits", n, legs)
	}
}

// connect makes a link over a loopback socket.
func connect(t testing.TB, a, b link.Config) (initiator, responder *link.Link) {
	t.Helper()
	n := listen(t, b)
	initiator = dial(t, n.Node, a)
	return initiator, n.link(t)
}

// An inbox checks and notes what arrives for one leg.
type inbox struct {
	t    testing.TB
	leg  *link.Leg
	echo bool
	got  chan uint32
	over chan struct{} // closed once the leg has ended, for:

	reason   cell.Reason
	distance uint8
}

func newInbox(t testing.TB) *inbox {
	return &inbox{t: t, got: make(chan uint32, 1<<15), over: make(chan struct{})}
}

func (in *inbox) Receive(cells []byte) {
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		h, payload := cell.ParseHeader(cells), cells[cell.HeaderSize:cell.Size]
		n := binary.BigEndian.Uint32(payload)
		if !bytes.Equal(payload, contents(n)) {
			in.t.Errorf("cell %d was altered", n)
		}
		if in.leg != nil && h.Circuit != in.leg.ID() {
			in.t.Errorf("circuit %d got a cell of %d", in.leg.ID(), h.Circuit)
		}
		in.got <- n
		if in.echo {
			if err := in.leg.Push(cell.Relay, numbered(in.leg.Link(), n, 1)...); err != nil {
				in.t.Errorf("echo: %v", err)
			}
		}
	}
}

func (in *inbox) Closed(r cell.Reason, distance uint8) {
	in.reason, in.distance = r, distance
	close(in.over) // panics when called twice
}

// next returns the next cell's number, or false when the leg has ended.
func (in *inbox) next() (uint32, bool) {
	select {
	case n := <-in.got:
		return n, true
	case <-in.over:
	}
	select {
	case n := <-in.got:
		return n, true
	default:
		return 0, false
	}
}

// want takes cells with the given numbers.
func (in *inbox) want(t testing.TB, from, count uint32) {
	t.Helper()
	for n := from; n < from+count; n++ {
		if got, ok := in.next(); !ok || got != n {
			t.Fatalf("got cell %d (%v), want %d", got, ok, n)
		}
	}
}

// wantEnd waits for the leg's end; nothing may come before.
func (in *inbox) wantEnd(t testing.TB, r cell.Reason, distance uint8) {
	t.Helper()
	if n, ok := in.next(); ok {
		t.Fatalf("got cell %d, want the end", n)
	}
	if in.reason != r || in.distance != distance {
		t.Errorf("ended because %s at distance %d, want %s at %d", in.reason, in.distance, r, distance)
	}
}

// A taker accepts circuits and hands them to the test.
type taker chan *inbox

func newTaker() taker { return make(taker, 10000) }

func (k taker) config(t testing.TB, echo bool) link.Config {
	return link.Config{Accept: func(g *link.Leg) link.Receiver {
		in := newInbox(t)
		in.leg, in.echo = g, echo
		k <- in
		return in
	}}
}

// contents is the payload of the cell with the number.
func contents(n uint32) []byte {
	var four [4]byte
	binary.BigEndian.PutUint32(four[:], n)
	return bytes.Repeat(four[:], cell.Size/4)[:cell.PayloadSize]
}

func numbered(l *link.Link, from, count uint32) []*cell.Buf {
	var cells []*cell.Buf
	for n := from; n < from+count; n++ {
		b := l.Pool().Get()
		copy(b[cell.HeaderSize:], contents(n))
		cells = append(cells, b)
	}
	return cells
}

// open creates a circuit with a burst of the cells 0 to 3.
func open(t testing.TB, l *link.Link) (*link.Leg, *inbox) {
	t.Helper()
	in := newInbox(t)
	g, err := l.Open(in, numbered(l, 0, 4))
	if err != nil {
		t.Fatal(err)
	}
	return g, in
}

func push(t testing.TB, g *link.Leg, from, count uint32) {
	t.Helper()
	if err := g.Push(cell.Relay, numbered(g.Link(), from, count)...); err != nil {
		t.Fatal(err)
	}
}

func TestCells(t *testing.T) {
	const circuits, count = 60, 100
	toA, toB := newTaker(), newTaker()
	a, b := connect(t, toA.config(t, true), toB.config(t, true))
	var running sync.WaitGroup
	for _, side := range []struct {
		from *link.Link
		to   taker
		bit  uint32
	}{{a, toB, 0}, {b, toA, cell.ByResponder}} {
		if side.from.Initiator() != (side.bit == 0) {
			t.Error("a side is not what it was made")
		}
		for range circuits {
			running.Go(func() {
				g, in := open(t, side.from)
				if g.ID()&cell.ByResponder != side.bit {
					t.Errorf("circuit %x has the wrong side's number", g.ID())
				}
				for n := uint32(4); n < count; n += 8 {
					push(t, g, n, 8)
				}
				in.want(t, 0, count)
			})
		}
		for range circuits {
			(<-side.to).want(t, 0, count)
		}
	}
	running.Wait()
	if a.Legs() != 2*circuits || b.Legs() != 2*circuits {
		t.Errorf("%d and %d circuits, want %d", a.Legs(), b.Legs(), 2*circuits)
	}
	if a.RTT() <= 0 {
		t.Error("the handshake did not measure the round trip")
	}
}

func TestPeer(t *testing.T) {
	known := newNode(t)
	for _, key := range []ed25519.PrivateKey{nil, known.key} {
		proved := make(chan netmap.NodeID, 1)
		k := newTaker()
		c := k.config(t, false)
		c.Authenticated = func(l *link.Link) { proved <- l.Peer() }
		n := listen(t, c)
		l := dial(t, n.Node, link.Config{Identity: key})
		open(t, l)
		(<-k).want(t, 0, 4)
		if l.Peer() != n.ID {
			t.Errorf("the initiator says that it is linked to %s, want %s", l.Peer(), n.ID)
		}
		responder := n.link(t)
		if key == nil {
			if id := responder.Peer(); id != (netmap.NodeID{}) {
				t.Errorf("an anonymous initiator is node %s", id)
			}
		} else if id := <-proved; id != known.ID || responder.Peer() != id {
			t.Errorf("the initiator is node %s, want %s", id, known.ID)
		}
	}
}

func TestClose(t *testing.T) {
	for _, closer := range []string{"initiator", "responder"} {
		t.Run(closer, func(t *testing.T) {
			k := newTaker()
			a, b := connect(t, link.Config{}, k.config(t, false))
			ga, inA := open(t, a)
			inB := <-k
			inB.want(t, 0, 4)
			if a.Err() != nil || b.Err() != nil {
				t.Errorf("errors of links that live: %v, %v", a.Err(), b.Err())
			}
			first, second := a, b
			if closer == "responder" {
				first, second = b, a
			}
			first.Close()
			first.Close()
			<-a.Done()
			<-b.Done()
			inA.wantEnd(t, cell.LinkBroken, 0)
			inB.wantEnd(t, cell.LinkBroken, 0)
			if !errors.Is(first.Err(), link.ErrClosed) || second.Err() == nil || errors.Is(second.Err(), link.ErrClosed) {
				t.Errorf("errors %v and %v", first.Err(), second.Err())
			}
			wantEnded(t, ga)
			wantEnded(t, inB.leg)
		})
	}
}

// wantEnded sees that neither the leg nor its link takes anything.
func wantEnded(t testing.TB, g *link.Leg) {
	t.Helper()
	cells := numbered(g.Link(), 0, 1)
	defer g.Link().Pool().PutAll(cells)
	if err := g.Push(cell.Relay, cells...); !errors.Is(err, link.ErrLegClosed) {
		t.Errorf("push: %v, want %v", err, link.ErrLegClosed)
	}
	if _, err := g.Link().Open(nil, cells); !errors.Is(err, link.ErrLegClosed) {
		t.Errorf("open: %v, want %v", err, link.ErrLegClosed)
	}
}

func TestFinish(t *testing.T) {
	k := newTaker()
	a, b := connect(t, link.Config{}, k.config(t, false))
	g, in := open(t, a)
	push(t, g, 4, 1000)
	a.Finish()
	got := <-k
	got.want(t, 0, 1004)
	got.wantEnd(t, cell.LinkBroken, 0)
	in.wantEnd(t, cell.LinkBroken, 0)
	<-a.Done()
	<-b.Done()
	wantEnded(t, g)
}
