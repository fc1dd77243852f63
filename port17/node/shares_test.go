package node

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/link"
	"safing/tinker"
)

// outcome waits until the circuit was built or has ended, and says why.
func outcome(t *testing.T, c *circuit.Circuit) (cell.Reason, int) {
	t.Helper()
	select {
	case <-c.Done():
	default:
		select {
		case <-c.Built():
			return 0, 0
		case <-c.Done():
		}
	}
	var ended *circuit.Error
	if !errors.As(c.Err(), &ended) {
		t.Fatalf("the circuit: %v", c.Err())
	}
	return ended.Reason, ended.Hop
}

// One link can't fill those to other nodes: it is refused while others still
// are not, as this node is busy and not as if the next one were to blame. When
// circuits have ended there is room again.
func TestNextLinkIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, second := lone(t)
		a, first := lone(t)
		a.extendTo(t, b, second, 8)
		hops := []circuit.Hop{first, second}
		dial := func(l *link.Link) *circuit.Circuit {
			t.Helper()
			c, _, err := circuit.Dial(l, hops, nil, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		var greedy *link.Link
		var held []*circuit.Circuit
		for _, want := range []int{4, 2, 1} {
			greedy = a.enter(t, first, link.Config{})
			for range want {
				c := dial(greedy)
				if r, _ := outcome(t, c); r != 0 {
					t.Fatalf("with %d circuits there: %s", len(held), r)
				}
				held = append(held, c)
			}
			if r, hop := outcome(t, dial(greedy)); r != cell.Busy || hop != 0 {
				t.Fatalf("beyond %d circuits: %q at node %d, want %q at node 1", want, r, hop+1, cell.Busy)
			}
		}
		for _, c := range held {
			c.Close()
		}
		synctest.Wait()
		if left := a.circuits.all(); len(left) > 0 {
			t.Errorf("%d circuits are left", len(left))
		}
		if r, _ := outcome(t, dial(greedy)); r != 0 {
			t.Errorf("when the others had ended: %s", r)
		}
	})
}

// Links have their turns with handshakes, and none can have them all wait.
func TestHandshakesAreShared(t *testing.T) {
	h := newHandshakes(8)
	var greedy, honest, late share
	var order []string
	note := func(who string) func() { return func() { order = append(order, who) } }
	waiting := 0
	for h.add(&greedy, note("greedy")) {
		waiting++
	}
	if waiting != 4 {
		t.Errorf("%d handshakes of one link wait, want 4 of 8", waiting)
	}
	for _, s := range []*share{&honest, &honest, &late} {
		if !h.add(s, note(map[*share]string{&honest: "honest", &late: "late"}[s])) {
			t.Error("a link with few is refused")
		}
	}
	for range waiting + 3 {
		h.next()()
	}
	want := []string{"greedy", "honest", "late", "greedy", "honest", "greedy", "greedy"}
	for i := range want {
		if order[i] != want[i] {
			t.Fatalf("the order is %v, want %v", order, want)
		}
	}
	h.close()
	if h.next() != nil || len(greedy.handshakes) != 0 {
		t.Error("there is more after the end")
	}
}

// While a link floods the node with circuits, those of others are built.
func TestFloodOfCircuits(t *testing.T) {
	n, hop := lone(t)
	flood, honest := n.enter(t, hop, link.Config{}), n.enter(t, hop, link.Config{})
	stop := make(chan struct{})
	flooded := make(chan int)
	go func() {
		sent := 0
		defer func() { flooded <- sent }()
		for {
			c, _, err := circuit.Dial(flood, []circuit.Hop{hop}, nil, nil, nil)
			if err != nil {
				t.Error(err)
				return
			}
			sent++
			if sent%64 == 0 { // most are given up at once: what waits for them is for nothing
				select {
				case <-c.Built():
				case <-c.Done():
				}
			}
			c.Close()
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	for range 50 {
		c, _, err := circuit.Dial(honest, []circuit.Hop{hop}, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if r, _ := outcome(t, c); r != 0 {
			t.Errorf("an honest circuit ended: %s", r)
		}
		c.Close()
	}
	close(stop)
	if sent := <-flooded; sent == 0 {
		t.Error("there was no flood")
	}
}

// A gate lets its reader read while it is open.
type gate struct {
	net.Conn
	open chan struct{}
}

func (g gate) Read(b []byte) (int, error) {
	<-g.open
	g.open <- struct{}{}
	return g.Conn.Read(b)
}

// gated is linked with a gate in between, which is open.
func gated(t *testing.T) (*Node, *link.Link, circuit.Hop, gate) {
	t.Helper()
	n, hop := lone(t)
	near, far := net.Pipe()
	slow := gate{near, make(chan struct{}, 1)}
	slow.open <- struct{}{}
	return n, n.enterOver(t, slow, far, hop, link.Config{}), hop, slow
}

// queue sends cells of padding to the origin.
func (r *relay) queue(t *testing.T, cells int) cell.Reason {
	t.Helper()
	r.sealing.Lock()
	defer r.sealing.Unlock()
	var batch []*cell.Buf
	for range cells {
		b := r.node.pool.Get()
		if err := r.onion.SealOwn(b[cell.HeaderSize:], tinker.LayerDrop, nil); err != nil {
			t.Error(err)
		}
		batch = append(batch, b)
	}
	return r.sendBackLocked(nil, batch)
}

// When cells were sealed and could not be queued, those behind them would not
// open at the origin: it learns the true reason, and not that one was altered.
func TestNothingBehindLostCells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l, hop, slow := gated(t)
		c, _, err := circuit.Dial(l, []circuit.Hop{hop}, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		<-c.Built()
		r := n.circuits.all()[0]
		<-slow.open
		if got := r.queue(t, link.QueueLimit-100); got != 0 {
			t.Fatalf("a queue with room: %s", got)
		}
		if got := r.queue(t, 200); got != cell.QueueFull {
			t.Fatalf("a queue without room: %q, want %q", got, cell.QueueFull)
		}
		late := make([]byte, cell.Size)
		cell.Header{Command: cell.Relay}.Put(late)
		(*backward)(r).Receive(late)
		r.end(cell.QueueFull, 0)
		slow.open <- struct{}{}
		<-c.Done()
		if got, at := outcome(t, c); got != cell.QueueFull || at != 0 {
			t.Errorf("the circuit ended: %s at node %d, want %s", got, at+1, cell.QueueFull)
		}
	})
}

// When the memory for cells runs out, the circuit ends that has most of them.
func TestGreediestCircuitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l, hop, slow := gated(t)
		n.maxCells = 1600
		var circuits []*circuit.Circuit
		for range 3 {
			c, _, err := circuit.Dial(l, []circuit.Hop{hop}, nil, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			<-c.Built()
			circuits = append(circuits, c)
		}
		relays := n.circuits.all()
		<-slow.open
		for i, cells := range []int{300, 1000, 250} {
			if r := relays[i].queue(t, cells); r != 0 {
				t.Errorf("circuit %d: %s", i, r)
			}
		}
		n.full()
		synctest.Wait()
		slow.open <- struct{}{}
		synctest.Wait()
		for i, most := range []bool{false, true, false} {
			err := circuits[i].Err()
			if ended := new(circuit.Error); most != (errors.As(err, &ended) && ended.Reason == cell.OutOfMemory) || !most && err != nil {
				t.Errorf("circuit %d, which has most: %v, ended: %v", i, most, err)
			}
		}
		if got := n.ended.circuits.all()[cell.OutOfMemory]; got != 1 {
			t.Errorf("%d circuits ended for want of memory, want 1", got)
		}
	})
}
