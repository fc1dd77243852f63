package circuit_test

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/link"
	"safing/tinker"
)

// A path is all nodes of one circuit, behind one link.
type path struct {
	t      *testing.T
	origin *link.Link // the client's end of the link
	link   *link.Link
	hops   []circuit.Hop
	keys   []*tinker.Prekeys

	burst    []byte
	cells    [][]byte // the payloads that came behind it
	hellos   []int    // their lengths
	position int
	asked    []cell.Parameters
	answers  []*tinker.Response
	first    []byte // the frames for the exit
	told     cell.Reason
	leg      *link.Leg
	mux      *stream.Mux
	streams  chan *stream.Stream
	steps    [cell.Positions]atomic.Int32 // of the ratchet that each node has completed
	drops    [cell.Positions]int          // of padding that each node has had
	times    []time.Time                  // when cells came behind the burst
	lazy     atomic.Bool                  // the nodes don't answer offers
}

// newPath makes n nodes and a link to the first. It belongs to a synctest
// bubble: what the path has received is there after synctest.Wait.
func newPath(t *testing.T, n int, c link.Config) *path {
	t.Helper()
	p := &path{t: t, streams: make(chan *stream.Stream, 10)}
	for i := range n {
		keys, to := prekeys(i)
		p.keys = append(p.keys, keys)
		p.hops = append(p.hops, circuit.Hop{Node: netmap.Node{Descriptor: &netmap.Descriptor{ID: nodeID(i)}}, Recipient: to})
	}
	keys, to := prekeys(0)
	near, far := net.Pipe()
	accepted := make(chan error)
	go func() {
		var err error
		p.link, err = link.Accept(far, keys, link.Config{Accept: func(g *link.Leg) link.Receiver {
			p.leg = g
			return p
		}})
		accepted <- err
	}()
	var err error
	if p.origin, err = link.Initiate(near, to.Identity, to, c); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Fatal(err)
	}
	return p
}

// allKeys are those of the nodes of all tests, as making them takes long.
var allKeys [cell.Positions + 1]func() *tinker.Prekeys

func init() {
	for i := range allKeys {
		allKeys[i] = sync.OnceValue(func() *tinker.Prekeys {
			keys, err := tinker.NewPrekeys(tinker.PrekeyConfig{Identity: nodeID(i), Now: func() time.Time { return time.Time{} }})
			if err != nil {
				panic(err)
			}
			return keys
		})
	}
}

func nodeID(i int) netmap.NodeID { return netmap.NodeID{byte(i + 1)} }

func prekeys(i int) (*tinker.Prekeys, tinker.Recipient) {
	keys := allKeys[i]()
	return keys, tinker.Recipient{Identity: nodeID(i), Prekey: keys.Public()[0]}
}

// end closes the link, and finds cells that the circuit has not given back.
func (p *path) end() {
	p.t.Helper()
	p.origin.Close()
	<-p.origin.Done()
	<-p.link.Done()
	if n := p.origin.Pool().Used(); n != 0 {
		p.t.Errorf("%d cells are still in use", n)
	}
}

// Receive implements link.Receiver.
func (p *path) Receive(cells []byte) {
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		payload := append([]byte(nil), cells[cell.HeaderSize:cell.Size]...)
		switch {
		case p.hellos == nil:
			p.burst = append(p.burst, payload...)
			if size, err := cell.ParseBurst(p.burst); err != nil {
				p.t.Error(err)
			} else if len(p.burst) == size {
				p.answer()
			}
		case p.mux != nil:
			p.cells = append(p.cells, append([]byte(nil), payload...))
			p.times = append(p.times, time.Now())
			p.unwrap(payload)
		default:
			p.t.Error("a cell came before all nodes had replied")
		}
	}
}

// Closed implements link.Receiver.
func (p *path) Closed(reason cell.Reason, _ uint8) { p.told = reason }

// answer opens the hellos, each of which lies in the one before.
func (p *path) answer() {
	hello, err := cell.ParseHello(p.burst)
	if err != nil {
		p.t.Error(err)
		return
	}
	for i, keys := range p.keys {
		p.hellos = append(p.hellos, len(hello))
		r, err := keys.Respond(circuit.Label, hello)
		if err != nil {
			p.t.Error(err)
			return
		}
		var at cell.Parameters
		if at, hello, err = cell.ParseParameters(r.Payload); err != nil {
			p.t.Error(err)
			return
		}
		last := i == len(p.keys)-1
		if at.Exit != last || !last && at.Next != p.hops[i+1].Node.ID {
			p.t.Errorf("node %d learned %+v", i+1, at)
		}
		p.asked = append(p.asked, at)
		p.answers = append(p.answers, r)
		p.position = at.Position - i
	}
	p.first = hello
}

// reply lets node i reply.
func (p *path) reply(i int) {
	b := p.link.Pool().Get()
	payload := b[cell.HeaderSize:]
	copy(payload[i:], p.answers[i].Reply)
	command := cell.Relay
	if i == 0 {
		command = cell.Created
	}
	p.wrap(payload, i, tinker.LayerRelay, -1)
	p.push(command, b)
}

// wrap puts the layers of the first n nodes around what lies at payload[n:].
// The one that alters, if any, does so behind its own layer.
func (p *path) wrap(payload []byte, n int, innermost byte, alters int) {
	for i := n - 1; i >= 0; i-- {
		if err := p.answers[i].Session.Send.Seal(payload[i:i+cell.LayerSize(p.position+i)], innermost); err != nil {
			p.t.Error(err)
		}
		if innermost = tinker.LayerRelay; i == alters {
			payload[i+100] ^= 1
		}
	}
}

func (p *path) push(command cell.Command, b *cell.Buf) {
	if err := p.leg.Push(command, b); err != nil {
		p.t.Error(err)
	}
}

// send sends a cell with the frames that n nodes have put their layers around.
func (p *path) send(frames []byte, n int, innermost byte, alters int) {
	b := p.link.Pool().Get()
	payload := b[cell.HeaderSize:]
	clear(payload)
	copy(payload[n:], frames)
	p.wrap(payload, n, innermost, alters)
	p.push(cell.Relay, b)
}

// unwrap opens all layers of a cell from the origin.
func (p *path) unwrap(payload []byte) {
	b := p.link.Pool().Get()
	copy(b[cell.HeaderSize:], payload)
	n := len(p.keys)
	for i, r := range p.answers {
		typ, content, err := r.Session.Recv.Open(b[cell.HeaderSize+i : cell.HeaderSize+i+cell.LayerSize(p.position+i)])
		if err == nil && typ == tinker.LayerStep {
			p.step(i, content)
			p.link.Pool().Put(b)
			return
		}
		if err == nil && typ == tinker.LayerDrop {
			p.drops[i]++
			p.link.Pool().Put(b)
			return
		}
		if want := map[bool]byte{true: tinker.LayerLocal, false: tinker.LayerRelay}[i == n-1]; err != nil || typ != want {
			p.t.Errorf("layer %d: type %d, %v", i, typ, err)
		}
	}
	start := cell.HeaderSize + n
	if err := p.mux.Receive(b, start, start+cell.ContentSize(p.position+n-1)); err != nil {
		p.t.Error(err)
	}
}

// serve makes the last node an exit, which takes what came with the hello.
func (p *path) serve() {
	n := len(p.keys)
	p.mux = stream.New(stream.Config{
		Pool: p.link.Pool(), Start: cell.HeaderSize + n, Size: cell.ContentSize(p.position + n - 1),
		Accept: func(s *stream.Stream, _ cell.Target) { p.streams <- s },
		Send: func(cells []*cell.Buf) error {
			for _, b := range cells {
				p.wrap(b[cell.HeaderSize:], n, tinker.LayerLocal, -1)
			}
			if err := p.leg.Push(cell.Relay, cells...); !errors.Is(err, link.ErrLegClosed) {
				return err
			}
			p.link.Pool().PutAll(cells)
			return nil
		},
	})
	p.mux.Ready()
	if err := p.mux.ReceiveFirst(p.first); err != nil {
		p.t.Error(err)
	}
}

// build lets all nodes reply.
func (p *path) build() {
	p.serve()
	for i := range p.keys {
		p.reply(i)
	}
}

// step is node i's part of a step of the ratchet.
func (p *path) step(i int, content []byte) {
	offer, err := tinker.ParseStep(content)
	if err != nil {
		p.t.Error(err)
	}
	if len(offer) == 0 {
		p.steps[i].Add(1)
	}
	if len(offer) == 0 || p.lazy.Load() {
		return
	}
	step, err := p.answers[i].Session.Accept(offer, nil)
	if err != nil {
		p.t.Error(err)
		return
	}
	b := p.link.Pool().Get()
	payload := b[cell.HeaderSize:]
	layer := payload[i : i+cell.LayerSize(p.position+i)]
	tinker.PutStep(layer[1:len(layer)-16], step.Message)
	if err := p.answers[i].Session.Send.SealStep(layer, tinker.LayerStep, step); err != nil {
		p.t.Error(err)
	}
	p.wrap(payload, i, tinker.LayerRelay, -1)
	p.push(cell.Relay, b)
}
