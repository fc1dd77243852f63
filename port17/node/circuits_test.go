package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/link"
	"safing/tinker"
)

// An ending notes why a circuit has ended.
type ending chan cell.Reason

func (ending) Receive([]byte)                  {}
func (e ending) Closed(r cell.Reason, _ uint8) { e <- r }

// A circuit ends at its age, though nothing passes that could tell it so, and
// whether or not it has ever begun to be of use.
func TestCircuitsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l, hop := linked(t)
		whole, _, err := circuit.Dial(l, []circuit.Hop{hop}, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		<-whole.Built()
		time.Sleep(maxAge / 2)
		b := l.Pool().Get()
		clear(b[:])
		b[cell.HeaderSize] = cell.LeastBurst
		half := make(ending, 1)
		if _, err := l.Open(half, []*cell.Buf{b}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(maxAge/2 - time.Second)
		synctest.Wait()
		if err := whole.Err(); err != nil {
			t.Errorf("the circuit ended before its time: %v", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		var ended *circuit.Error
		if err := whole.Err(); !errors.As(err, &ended) || ended.Reason != cell.Expired || ended.Hop != 0 {
			t.Errorf("the circuit ended: %v, want %q", err, cell.Expired)
		}
		if len(half) > 0 {
			t.Error("the half burst ended with the circuit before it")
		}
		time.Sleep(maxAge / 2)
		synctest.Wait()
		if len(half) == 0 || <-half != cell.Expired {
			t.Errorf("the half burst did not end as %q", cell.Expired)
		}
		if l.Err() != nil || n.circuits.byAge.Len() != 0 {
			t.Errorf("link %v, %d circuits are left", l.Err(), n.circuits.byAge.Len())
		}
	})
}

// linked returns a node that does nothing but serve one link, and the other end
// of that.
func linked(t *testing.T) (*Node, *link.Link, circuit.Hop) {
	t.Helper()
	n, hop := lone(t)
	return n, n.enter(t, hop, link.Config{}), hop
}

// lone returns a node that does nothing but serve the links that it is given.
func lone(t testing.TB) (*Node, circuit.Hop) {
	t.Helper()
	id, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &netmap.Descriptor{ID: netmap.NodeID(id), Name: "n", Owner: "o"}
	keys, err := newPrekeys(tinker.PrekeyConfig{Identity: d.ID, Binding: d.Binding()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	public := netmap.Node{Descriptor: d, Keys: &netmap.Keys{ID: d.ID, Binding: d.Binding(), Prekeys: keys.Public()}}
	to, err := public.Recipient(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{
		config: Config{Identity: key}.withDefaults(),
		id:     d.ID, keys: keys, exit: newExit(netmap.ExitPolicy{}, nil, ExitLimits{}),
		circuits: circuits{limit: maxCircuits}, handshakes: newHandshakes(maxHandshakes), maxCells: maxCells,
		tight:      make(chan struct{}, 1),
		neighbours: make(map[netmap.NodeID][]*link.Link), prospects: newProspects(), links: make(map[*link.Link]bool),
	}
	ctx, cancel := context.WithCancel(t.Context())
	n.running.Go(n.handshake)
	n.running.Go(func() { n.expire(ctx) })
	n.running.Go(func() { n.relieve(ctx) })
	t.Cleanup(func() {
		cancel()
		n.handshakes.close()
		n.running.Wait()
		if used := n.pool.Used(); used != 0 {
			t.Errorf("the node holds %d cells", used)
		}
	})
	return n, circuit.Hop{Node: public, Recipient: to}
}

// enter makes a link to the node.
func (n *Node) enter(t testing.TB, hop circuit.Hop, c link.Config) *link.Link {
	t.Helper()
	near, far := net.Pipe()
	return n.enterOver(t, near, far, hop, c)
}

// enterOver makes a link to the node over a connection's two ends.
func (n *Node) enterOver(t testing.TB, near, far net.Conn, hop circuit.Hop, c link.Config) *link.Link {
	t.Helper()
	accepted := make(chan struct{})
	n.running.Go(func() {
		l, err := link.Accept(far, n.keys, n.linkConfig(false))
		close(accepted)
		if err != nil {
			t.Error(err)
			return
		}
		<-l.Done()
	})
	l, err := link.Initiate(near, n.id, hop.Recipient, c)
	if err != nil {
		t.Fatal(err)
	}
	<-accepted
	t.Cleanup(func() {
		l.Close()
		<-l.Done()
	})
	return l
}

// extendTo makes a link over which the node extends circuits to the other.
func (n *Node) extendTo(t testing.TB, other *Node, hop circuit.Hop, maxLegs int) {
	t.Helper()
	c := n.linkConfig(true)
	c.MaxLegs = maxLegs
	l := other.enter(t, hop, c)
	n.mu.Lock()
	defer n.mu.Unlock()
	m, err := netmap.New("test", 1, time.Now(), time.Now().Add(24*time.Hour), []netmap.Node{hop.Node})
	if err != nil {
		t.Fatal(err)
	}
	n.m, n.neighbours[other.id] = m, []*link.Link{l}
}
