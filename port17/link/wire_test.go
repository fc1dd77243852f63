package link_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"safing/port17/cell"
	"safing/port17/link"
	"safing/tinker"
)

// A mangler says what is sent instead of a frame. Frame 0 is the hello or the
// reply, the others are records.
type mangler func(i int, frame []byte) [][]byte

func untouched(_ int, frame []byte) [][]byte { return [][]byte{frame} }

// dialVia makes a link to the node through a proxy.
func dialVia(t testing.TB, n *node, c link.Config, forward, backward mangler) *link.Link {
	t.Helper()
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	near, err := net.Dial("tcp", proxy.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	left, err := proxy.Accept()
	if err != nil {
		t.Fatal(err)
	}
	right, err := net.Dial("tcp", n.Addresses[0].String())
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { pump(right, left, forward) })
	running.Go(func() { pump(left, right, backward) })
	t.Cleanup(running.Wait)
	return initiate(t, near, n, c)
}

func initiate(t testing.TB, conn net.Conn, n *node, c link.Config) *link.Link {
	t.Helper()
	to, err := n.Recipient(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l, err := link.Initiate(conn, n.ID, to, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(t, l) })
	return l
}

func pump(dst, src net.Conn, m mangler) {
	defer dst.Close()
	defer src.Close()
	for i := 0; ; i++ {
		frame, err := readFrame(src, i)
		if err != nil {
			return
		}
		for _, f := range m(i, frame) {
			if _, err := dst.Write(f); err != nil {
				return
			}
		}
	}
}

func readFrame(r io.Reader, i int) ([]byte, error) {
	frame := make([]byte, cell.Size)
	if i > 0 {
		frame = frame[:2]
	}
	if _, err := io.ReadFull(r, frame); err != nil || i == 0 {
		return frame, err
	}
	frame = append(frame, make([]byte, int(frame[1])*cell.Size+tinker.LayerOverhead)...)
	_, err := io.ReadFull(r, frame[2:])
	return frame, err
}

// flip changes one bit of frame i; a negative offset counts from its end.
func flip(i, offset int, bit byte) mangler {
	return func(n int, frame []byte) [][]byte {
		if n == i {
			frame[(offset+len(frame))%len(frame)] ^= bit
		}
		return [][]byte{frame}
	}
}

// instead sends the frames with the indexes in place of frame i.
func instead(i int, frames ...int) mangler {
	var seen [][]byte
	return func(n int, frame []byte) [][]byte {
		seen = append(seen, bytes.Clone(frame))
		if n != i {
			return [][]byte{frame}
		}
		var out [][]byte
		for _, f := range frames {
			out = append(out, seen[f])
		}
		return out
	}
}

func swap(i int) mangler {
	var held []byte
	return func(n int, frame []byte) [][]byte {
		switch n {
		case i:
			held = frame
			return nil
		case i + 1:
			return [][]byte{frame, held}
		}
		return [][]byte{frame}
	}
}

func cut(i, size int) mangler {
	return func(n int, frame []byte) [][]byte {
		if n == i {
			frame = frame[:len(frame)-size]
		}
		return [][]byte{frame}
	}
}

// Whatever is done to the bytes in between, the link ends, and until then
// nothing but what was sent is delivered.
func TestMangled(t *testing.T) {
	for name, mangle := range map[string]func() mangler{
		"suite or reply":           func() mangler { return flip(0, 0, 1) },
		"hello or reply":           func() mangler { return flip(0, 1000, 0x80) },
		"key of the first record":  func() mangler { return flip(1, 0, 1) },
		"key of a later record":    func() mangler { return flip(3, 0, 0x80) },
		"number of cells":          func() mangler { return flip(1, 1, 1) },
		"number of cells, greatly": func() mangler { return flip(3, 1, 0x80) },
		"first byte":               func() mangler { return flip(1, 2, 1) },
		"a cell's header":          func() mangler { return flip(3, 3, 1) },
		"a cell":                   func() mangler { return flip(3, 2000, 0x10) },
		"tag":                      func() mangler { return flip(3, -1, 1) },
		"replayed at once":         func() mangler { return instead(1, 1, 1) },
		"replayed later":           func() mangler { return instead(3, 1, 3) },
		"replayed instead":         func() mangler { return instead(3, 2) },
		"hello or reply again":     func() mangler { return instead(2, 0, 2) },
		"first record missing":     func() mangler { return instead(1) },
		"later record missing":     func() mangler { return instead(3) },
		"first records swapped":    func() mangler { return swap(1) },
		"later records swapped":    func() mangler { return swap(3) },
		"cut by a byte":            func() mangler { return cut(1, 1) },
		"cut by a cell":            func() mangler { return cut(3, cell.Size) },
	} {
		t.Run("early/"+name, func(t *testing.T) { mangleEarly(t, mangle()) })
		t.Run("forward/"+name, func(t *testing.T) { mangleForward(t, mangle()) })
		t.Run("backward/"+name, func(t *testing.T) { mangleBackward(t, mangle()) })
	}
}

// mangled is how many cells are sent while records are mangled: enough for
// more than three.
const mangled = 200

// mangleEarly holds the reply back, so that all records have the early key.
func mangleEarly(t *testing.T, m mangler) {
	k := newTaker()
	n := listen(t, k.config(t, false))
	over := make(chan struct{})
	defer close(over)
	l := dialVia(t, n, link.Config{}, m, func(i int, frame []byte) [][]byte {
		<-over
		return nil
	})
	send(t, l)
	a := <-n.accepted
	if a.err == nil {
		<-a.link.Done()
		a.err = a.link.Err()
	}
	wantNoticed(t, a.err)
	wantPrefix(t, k.first(t))
}

// mangleForward mangles records behind the end of those under the early key
// and the one with the initiator's proof.
func mangleForward(t *testing.T, m mangler) {
	k := newTaker()
	c := k.config(t, false)
	proved := make(chan struct{})
	c.Authenticated = func(*link.Link) { close(proved) }
	n := listen(t, c)
	l := dialVia(t, n, link.Config{Identity: newNode(t).key}, func(i int, frame []byte) [][]byte {
		switch i {
		case 0:
			return m(0, frame)
		case 1, 2:
			return untouched(i, frame)
		}
		return m(i-2, frame)
	}, untouched)
	a := <-n.accepted
	if a.err == nil {
		<-proved
		send(t, l)
		<-a.link.Done()
		a.err = a.link.Err()
	}
	wantNoticed(t, a.err)
	wantPrefix(t, k.first(t))
}

func mangleBackward(t *testing.T, m mangler) {
	k := newTaker()
	n := listen(t, k.config(t, true))
	l := dialVia(t, n, link.Config{}, untouched, m)
	in := send(t, l)
	<-l.Done()
	wantNoticed(t, l.Err())
	wantPrefix(t, in)
}

// send opens a circuit and sends cells, if the link still lives.
func send(t testing.TB, l *link.Link) *inbox {
	in := newInbox(t)
	cells := numbered(l, 0, mangled)
	g, err := l.Open(in, cells[:4])
	if err == nil {
		cells = cells[4:]
		err = g.Push(cell.Relay, cells...)
	} else {
		in.Closed(cell.LinkBroken, 0)
	}
	if err != nil {
		l.Pool().PutAll(cells)
	}
	return in
}

// wantNoticed sees that a link ended because of what arrived.
func wantNoticed(t testing.TB, err error) {
	t.Helper()
	for _, other := range []error{nil, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, link.ErrClosed} {
		if errors.Is(err, other) {
			t.Errorf("the link ended for another reason: %v", err)
		}
	}
}

// first returns the first circuit that was accepted; an ended one for none.
func (k taker) first(t testing.TB) *inbox {
	select {
	case in := <-k:
		return in
	default:
		in := newInbox(t)
		in.Closed(cell.LinkBroken, 0)
		return in
	}
}

// wantPrefix sees that the first cells were delivered, but not all.
func wantPrefix(t testing.TB, in *inbox) {
	t.Helper()
	for want := uint32(0); ; want++ {
		got, ok := in.next()
		if !ok && want < mangled {
			return
		}
		if !ok || got != want {
			t.Fatalf("got cell %d, want cell %d or the end", got, want)
		}
	}
}

func TestReplayedHandshake(t *testing.T) {
	k := newTaker()
	n := listen(t, k.config(t, false))
	var recorded []byte
	l := dialVia(t, n, link.Config{}, func(_ int, frame []byte) [][]byte {
		recorded = append(recorded, frame...)
		return [][]byte{frame}
	}, untouched)
	open(t, l)
	(<-k).want(t, 0, 4)
	n.link(t)
	conn, err := net.Dial("tcp", n.Addresses[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(recorded); err != nil {
		t.Fatal(err)
	}
	if a := <-n.accepted; !errors.Is(a.err, tinker.ErrReplay) || link.Reason(a.err) != cell.Replayed {
		t.Errorf("a recorded handshake: %v, want %v", a.err, tinker.ErrReplay)
	}
	if len(k) > 0 {
		t.Error("a recorded handshake created a circuit")
	}
}

// Cells arrive with the hello, before there is an answer.
func TestEarly(t *testing.T) {
	k := newTaker()
	n := listen(t, k.config(t, true))
	arrived := make(chan struct{})
	l := dialVia(t, n, link.Config{Identity: newNode(t).key}, untouched, func(i int, frame []byte) [][]byte {
		if i == 0 {
			<-arrived
		}
		return [][]byte{frame}
	})
	g, in := open(t, l)
	early := <-k
	early.want(t, 0, 4)
	if id := early.leg.Link().Peer(); id != ([32]byte{}) {
		t.Errorf("before the reply the initiator is node %s", id)
	}
	close(arrived)
	in.want(t, 0, 4)
	push(t, g, 4, 100)
	in.want(t, 4, 100)
}
