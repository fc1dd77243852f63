package node

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/link"
	"safing/tinker"
)

// A raw origin sends what it is told to on a circuit whose only node is an exit.
type raw struct {
	t          testing.TB
	leg        *link.Leg
	pool       *cell.Pool
	handshakes []*tinker.Initiator
	onion      *tinker.Onion
	session    *tinker.Session
	built      chan struct{}
	ended      chan cell.Reason
}

const rawPosition = 2

// newRaw creates a circuit, with frames in the hello.
func newRaw(t testing.TB, l *link.Link, hop circuit.Hop, first []byte) *raw {
	t.Helper()
	o := &raw{
		t: t, pool: l.Pool(), onion: tinker.NewOnion(cell.PayloadSize, rawPosition, nil),
		built: make(chan struct{}), ended: make(chan cell.Reason, 1),
	}
	p := cell.Parameters{Exit: true, Position: rawPosition}
	area := make([]byte, 512)
	copy(area, first)
	var hello []byte
	var err error
	o.handshakes, hello, err = tinker.InitiateRoute(circuit.Label, []tinker.Hop{{Recipient: hop.Recipient, Parameters: p.Append(nil)}}, area)
	if err != nil {
		t.Fatal(err)
	}
	burst := make([]byte, cell.LeastBurst*cell.PayloadSize)
	place, _ := cell.PutHello(burst, len(hello))
	copy(place, hello)
	if o.leg, err = l.Open(o, circuit.Cells(burst, o.pool)); err != nil {
		t.Fatal(err)
	}
	select {
	case <-o.built:
	case r := <-o.ended:
		t.Fatalf("the circuit ended: %s", r)
	}
	return o
}

// Receive implements link.Receiver.
func (o *raw) Receive(cells []byte) {
	if o.session != nil {
		return
	}
	reply, _, err := o.handshakes[0].SplitReply(cells[cell.HeaderSize:cell.Size])
	if err == nil {
		o.session, err = o.handshakes[0].Finish(reply)
	}
	if err != nil {
		o.t.Error(err)
		return
	}
	o.onion.Add(o.session)
	close(o.built)
}

// Closed implements link.Receiver.
func (o *raw) Closed(r cell.Reason, _ uint8) { o.ended <- r }

// layer sends content in a layer of the type.
func (o *raw) layer(typ byte, content []byte) {
	b := o.pool.Get()
	payload := b[cell.HeaderSize:]
	clear(payload)
	copy(payload[1:][:cell.ContentSize(rawPosition)], content)
	if err := o.onion.Seal(payload, typ); err != nil {
		o.t.Error(err)
	}
	o.push(cell.Relay, b)
}

func (o *raw) push(command cell.Command, b *cell.Buf) {
	if o.leg.Push(command, b) != nil {
		o.pool.Put(b)
	}
}

// garbage sends a cell that nobody has sealed.
func (o *raw) garbage(command cell.Command) {
	b := o.pool.Get()
	clear(b[:])
	o.push(command, b)
}

func (o *raw) frames(frames ...cell.Frame) {
	var content []byte
	for _, f := range frames {
		content = f.Append(content)
	}
	o.layer(tinker.LayerLocal, content)
}

func (o *raw) step(message []byte) {
	content := make([]byte, cell.ContentSize(rawPosition))
	tinker.PutStep(content, message)
	o.layer(tinker.LayerStep, content)
}

func (o *raw) offer() []byte {
	offer, err := o.session.Offer(o.session.Suite())
	if err != nil {
		o.t.Error(err)
	}
	return offer
}

func opening(stream uint32) cell.Frame {
	return cell.Frame{Type: cell.OpenFrame, Stream: stream, Data: cell.Target{UDP: true}.Append(nil)}
}

func data(stream uint32, b []byte) cell.Frame {
	return cell.Frame{Type: cell.DataFrame, Stream: stream, Data: b}
}

// A client that breaks the rules ends its circuit, with the reason, and no
// other: not even of the same link.
func TestHostileClient(t *testing.T) {
	n, hop := lone(t)
	l := n.enter(t, hop, link.Config{})
	honest := newRaw(t, l, hop, nil)
	long := cell.AppendDatagramHeader(nil, cell.Target{Host: "example.com", Port: 53}, cell.MaxDatagram)
	for _, test := range []struct {
		name string
		do   func(*raw)
		want cell.Reason
	}{
		{"altered cell", func(o *raw) { o.garbage(cell.Relay) }, cell.Altered},
		{"created again", func(o *raw) { o.garbage(cell.Create) }, cell.Protocol},
		{"reply from the origin", func(o *raw) { o.garbage(cell.Created) }, cell.Protocol},
		{"step that is none", func(o *raw) { o.layer(tinker.LayerStep, []byte{255, 255}) }, cell.Protocol},
		{"step with a wrong key", func(o *raw) { o.step([]byte{0, 1, 2, 3}) }, cell.Protocol},
		{"steps too often", func(o *raw) {
			offer := o.offer()
			o.step(offer)
			o.step(offer)
		}, cell.Protocol},
		{"unknown frame", func(o *raw) { o.frames(cell.Frame{Type: 77}) }, cell.Protocol},
		{"frame cut short", func(o *raw) { o.layer(tinker.LayerLocal, []byte{byte(cell.DataFrame), 0, 0, 0, 1, 255, 255}) }, cell.Protocol},
		{"stream opened twice", func(o *raw) { o.frames(opening(4), opening(4)) }, cell.Protocol},
		{"stream opened out of order", func(o *raw) { o.frames(opening(4), opening(3)) }, cell.Protocol},
		{"stream 0", func(o *raw) { o.frames(opening(0)) }, cell.Protocol},
		{"stream confirmed", func(o *raw) { o.frames(opening(1), cell.Frame{Type: cell.OpenedFrame, Stream: 1}) }, cell.Protocol},
		{"data for a stream that never was", func(o *raw) { o.frames(data(9, []byte("x"))) }, cell.Protocol},
		{"window of a stream that never was", func(o *raw) { o.frames(cell.Frame{Type: cell.WindowFrame, Stream: 9}) }, cell.Protocol},
		{"data after the end", func(o *raw) {
			o.frames(opening(1), cell.Frame{Type: cell.EndFrame, Stream: 1}, data(1, long))
		}, cell.Protocol},
		{"acknowledges what was not sent", func(o *raw) { o.frames(cell.Frame{Type: cell.AckFrame, Value: 1}) }, cell.Protocol},
		{"datagram to nowhere", func(o *raw) { o.frames(opening(1), data(1, []byte{0, 5, 0, 53, 99, 1, 2, 3, 4})) }, cell.Protocol},
		{"datagram that is too long", func(o *raw) { o.frames(opening(1), data(1, []byte{255, 255, 0, 53, 4, 1, 2, 3, 4})) }, cell.Protocol},
		{"more than the window allows", func(o *raw) {
			o.frames(opening(1), data(1, long))
			for range 400 { // of which the exit reads 64 KiB at a time
				o.frames(data(1, make([]byte, 3900)))
			}
		}, cell.Protocol},
	} {
		t.Run(test.name, func(t *testing.T) {
			was := n.Ended().Circuits[test.want]
			o := newRaw(t, l, hop, nil)
			test.do(o)
			select {
			case got := <-o.ended:
				if got != test.want {
					t.Errorf("the circuit ended: %s, want %s", got, test.want)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("the circuit lives on")
			}
			eventually(t, func() bool { return n.Ended().Circuits[test.want] == was+1 }, func() string {
				return fmt.Sprintf("the node counts %v, want one more", n.Ended().Circuits)
			})
		})
	}
	for name, do := range map[string]func(*raw){
		"unknown layer":       func(o *raw) { o.layer(50, nil) },
		"layer to pass on":    func(o *raw) { o.layer(tinker.LayerRelay, nil) },
		"padding":             func(o *raw) { o.layer(tinker.LayerDrop, nil) },
		"end of no step":      func(o *raw) { o.step(nil) },
		"window that shrinks": func(o *raw) { o.frames(opening(1), cell.Frame{Type: cell.WindowFrame, Stream: 1, Value: 1}) },
		"flood of resets": func(o *raw) {
			o.frames(opening(1))
			for range 500 {
				o.frames(cell.Frame{Type: cell.ResetFrame, Stream: 1, Reason: 99}, cell.Frame{Type: cell.StopFrame, Stream: 1})
			}
		},
		"too many streams": func(o *raw) {
			for i := range uint32(300) {
				o.frames(opening(1 + i))
			}
			eventually(t, func() bool { return n.Ended().Streams[cell.TooManyStreams] >= 44 }, func() string {
				return fmt.Sprintf("the node counts %v", n.Ended().Streams)
			})
			for i := range uint32(256) {
				o.frames(cell.Frame{Type: cell.ResetFrame, Stream: 1 + i})
			}
		},
		"names that are none": func(o *raw) {
			for i, name := range []string{"", "a b", "a..b", "\x00", "ex\xffample", string(bytes.Repeat([]byte("a"), 254))} {
				o.frames(cell.Frame{Type: cell.OpenFrame, Stream: uint32(1 + i), Data: append([]byte{0, 80, 1, byte(len(name))}, name...)})
			}
			eventually(t, func() bool { return n.Ended().Streams[cell.BadTarget] >= 6 }, func() string {
				return fmt.Sprintf("the node counts %v", n.Ended().Streams)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newRaw(t, l, hop, nil)
			do(o)
			o.alive(n)
			o.leg.Close(cell.Finished, 0)
		})
	}
	honest.alive(n)
	if err := l.Err(); err != nil {
		t.Errorf("the link ended: %v", err)
	}
	honest.leg.Close(cell.Finished, 0)
	n.emptied(t)
}

// alive wants that the exit still serves the circuit.
func (o *raw) alive(n *Node) {
	o.t.Helper()
	was := n.Ended().Streams[cell.Policy]
	o.frames(cell.Frame{Type: cell.OpenFrame, Stream: 1000, Data: cell.Target{Host: "example.com", Port: 80}.Append(nil)})
	eventually(o.t, func() bool {
		select {
		case r := <-o.ended:
			o.t.Fatalf("the circuit ended: %s", r)
		default:
		}
		return n.Ended().Streams[cell.Policy] > was
	}, func() string { return "the circuit's streams are not served" })
}

// eventually waits until something is so, and fails with what is so otherwise.
func eventually(t testing.TB, is func() bool, otherwise func() string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !is(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(otherwise())
		}
	}
}

// emptied waits until nothing is left of the circuits that there were.
func (n *Node) emptied(t testing.TB) {
	t.Helper()
	eventually(t, func() bool {
		return len(n.circuits.all()) == 0 && n.pool.Used() == 0 && n.exit.associations.taken() == 0
	}, func() string {
		return fmt.Sprintf("%d circuits, %d cells, %d associations are left", len(n.circuits.all()), n.pool.Used(), n.exit.associations.taken())
	})
}

// A link on which there are circuits that never were ends, and with it no other.
func TestHostileLink(t *testing.T) {
	n, hop := lone(t)
	other := n.enter(t, hop, link.Config{})
	honest := newRaw(t, other, hop, nil)
	l := n.enter(t, hop, link.Config{})
	o := newRaw(t, l, hop, nil)
	o.garbage(9) // an unknown command
	select {
	case <-l.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the link lives on")
	}
	honest.alive(n)
	honest.leg.Close(cell.Finished, 0)
	n.emptied(t)
}

// FuzzRelay sends whatever cells to an exit after a handshake. Each begins with
// what is to be done, and the length of what follows.
func FuzzRelay(f *testing.F) {
	frames := func(frames ...cell.Frame) []byte {
		content := []byte{0, 0}
		for _, frame := range frames {
			content = frame.Append(content)
		}
		content[1] = byte(len(content) - 2)
		return content
	}
	query := append(cell.AppendDatagramHeader(nil, cell.Target{Host: "example.com", Port: 53}, 3), 1, 2, 3)
	f.Add(append(frames(opening(1), data(1, query)), frames(cell.Frame{Type: cell.EndFrame, Stream: 1})...))
	f.Add(append(frames(opening(1), data(1, query[:5])), frames(data(1, query[5:]), cell.Frame{Type: cell.ResetFrame, Stream: 1})...))
	f.Add(frames(cell.Frame{Type: cell.OpenFrame, Stream: 1, Data: cell.Target{Host: "example.com", Port: 80}.Append(nil)}, data(1, []byte("GET"))))
	f.Add([]byte{1, 3, 4, 0, 1, 2, 0, 3, 3, 0, 4, 0, 5, 0})
	f.Add([]byte{1, 2, 3, 1, 1, 2, 50, 1, 1, 2, 1, 1, 6, 0})
	n, hop := lone(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		l := n.enter(t, hop, link.Config{})
		first, rest := b, []byte(nil)
		if len(b) > 0 && b[0]%8 == 7 {
			first, rest = b[1:], b[1:]
		} else {
			first, rest = nil, b
		}
		o := newRaw(t, l, hop, first)
		for cells := 0; len(rest) >= 2 && cells < 100; cells++ {
			do, size := rest[0]%8, min(int(rest[1]), len(rest)-2)
			content := rest[2 : 2+size]
			rest = rest[2+size:]
			switch {
			case do == 0:
				o.layer(tinker.LayerLocal, content)
			case do == 1 && size > 0:
				o.layer(content[0]&tinker.MaxType, content[1:])
			case do == 2:
				o.step(content)
			case do == 3:
				o.garbage(cell.Relay)
			case do == 4 && size > 0:
				o.garbage(cell.Command(content[0]))
			case do == 5:
				o.leg.Close(cell.Finished, 0)
			}
		}
		for o.leg.Queued() > 0 && l.Err() == nil {
			runtime.Gosched()
		}
		l.Close()
		<-l.Done()
		n.emptied(t)
	})
}
