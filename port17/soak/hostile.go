package soak

import (
	"context"
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/link"
)

// A Hostile is a neighbour that nodes have to bear.
type Hostile struct {
	Map  func() *netmap.Map                     // nil while there is none
	Dial func(netip.AddrPort) (net.Conn, error) // to a node
	Seed uint64

	acts, bursts atomic.Uint64
	silent       sync.WaitGroup
}

const (
	hostileWait = 5 * time.Second // for a node to end what it does not bear
	floodBursts = 500
	leftOpen    = 20 // circuits
)

// Counts returns how often it did something, and how many bursts of CREATE it
// sent.
func (h *Hostile) Counts() (acts, bursts uint64) { return h.acts.Load(), h.bursts.Load() }

// Run annoys one node after the other until the context ends. That a node ends
// the connection is no error.
func (h *Hostile) Run(ctx context.Context) {
	defer h.silent.Wait()
	lots := mrand.New(mrand.NewPCG(h.Seed, 0))
	acts := []func(context.Context, netip.AddrPort, netmap.Node, *mrand.Rand) error{h.garbage, h.silence, h.flood, h.nonsense, h.leave}
	for ctx.Err() == nil {
		if m := h.Map(); m != nil && len(m.Nodes) > 0 {
			n := m.Nodes[lots.IntN(len(m.Nodes))]
			if acts[lots.IntN(len(acts))](ctx, n.Addresses[0], n, lots) == nil {
				h.acts.Add(1)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(lots.IntN(200)) * time.Millisecond):
		}
	}
}

// garbage sends random bytes instead of a hello, and some more.
func (h *Hostile) garbage(_ context.Context, at netip.AddrPort, _ netmap.Node, lots *mrand.Rand) error {
	conn, err := h.Dial(at)
	if err != nil {
		return err
	}
	defer conn.Close()
	b := make([]byte, 1+lots.IntN(64<<10))
	rand.Read(b)
	conn.SetDeadline(time.Now().Add(hostileWait)) //nolint:errcheck // it fails below
	conn.Write(b)                                 //nolint:errcheck // the node may end it
	conn.Read(b)                                  //nolint:errcheck // likewise
	return nil
}

// silence connects, sends the beginning of a hello, and goes after a while.
func (h *Hostile) silence(ctx context.Context, at netip.AddrPort, _ netmap.Node, lots *mrand.Rand) error {
	conn, err := h.Dial(at)
	if err != nil {
		return err
	}
	b := make([]byte, lots.IntN(cell.Size))
	rand.Read(b)
	conn.Write(b) //nolint:errcheck // the node may end it
	h.silent.Go(func() {
		defer conn.Close()
		select {
		case <-ctx.Done():
		case <-time.After(hostileWait):
		}
	})
	return nil
}

// link makes an anonymous one to the node.
func (h *Hostile) link(at netip.AddrPort, n netmap.Node) (*link.Link, error) {
	to, err := n.Recipient(time.Now())
	if err != nil {
		return nil, err
	}
	conn, err := h.Dial(at)
	if err != nil {
		return nil, err
	}
	l, err := link.Initiate(conn, n.ID, to, link.Config{})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return l, nil
}

func leaveLink(l *link.Link) {
	l.Close()
	<-l.Done()
}

// A deaf receiver takes no notice.
type deaf struct{}

func (deaf) Receive([]byte)            {}
func (deaf) Closed(cell.Reason, uint8) {}

func random(l *link.Link, cells int) []*cell.Buf {
	var all []*cell.Buf
	for range cells {
		b := l.Pool().Get()
		rand.Read(b[:])
		all = append(all, b)
	}
	return all
}

// flood asks for circuits with hellos that do not open, as fast as it can.
func (h *Hostile) flood(ctx context.Context, at netip.AddrPort, n netmap.Node, _ *mrand.Rand) error {
	l, err := h.link(at, n)
	if err != nil {
		return err
	}
	defer leaveLink(l)
	for range floodBursts {
		burst := make([]byte, cell.LeastBurst*cell.PayloadSize)
		rand.Read(burst)
		cell.PutHello(burst, cell.HelloSize(cell.LeastBurst, 0)) // so that the node has to compute
		cells := circuit.Cells(burst, l.Pool())
		if _, err := l.Open(deaf{}, cells); err != nil {
			l.Pool().PutAll(cells)
			return nil
		}
		h.bursts.Add(1)
	}
	select {
	case <-l.Done():
	case <-ctx.Done():
	case <-time.After(hostileWait / 5):
	}
	return nil
}

// nonsense sends cells with random commands and contents.
func (h *Hostile) nonsense(ctx context.Context, at netip.AddrPort, n netmap.Node, lots *mrand.Rand) error {
	l, err := h.link(at, n)
	if err != nil {
		return err
	}
	defer leaveLink(l)
	leg, err := l.Open(deaf{}, random(l, cell.LeastBurst))
	if err != nil {
		return err
	}
	for range 1 + lots.IntN(100) {
		cells := random(l, 1)
		if err := leg.Push(cell.Command(lots.IntN(12)), cells...); err != nil {
			l.Pool().PutAll(cells)
			break
		}
	}
	select {
	case <-l.Done():
	case <-ctx.Done():
	case <-time.After(hostileWait / 5):
	}
	return nil
}

// leave builds circuits that are good, and uses none.
func (h *Hostile) leave(ctx context.Context, at netip.AddrPort, n netmap.Node, lots *mrand.Rand) error {
	m := h.Map()
	l, err := h.link(at, n)
	if err != nil {
		return err
	}
	defer leaveLink(l)
	for range leftOpen {
		hops := []netmap.Node{n, m.Nodes[lots.IntN(len(m.Nodes))]}
		var route []circuit.Hop
		for _, hop := range hops {
			to, err := hop.Recipient(time.Now())
			if err != nil {
				return fmt.Errorf("leave circuits: %w", err)
			}
			route = append(route, circuit.Hop{Node: hop, Recipient: to})
		}
		if _, _, err := circuit.Dial(l, route, nil, nil, nil); err != nil {
			return nil
		}
		h.bursts.Add(1)
	}
	select {
	case <-l.Done():
	case <-ctx.Done():
	case <-time.After(hostileWait / 5):
	}
	return nil
}
