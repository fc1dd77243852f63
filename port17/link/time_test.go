package link_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"safing/port17/cell"
	"safing/port17/link"
)

// In these tests time is that of a synctest bubble. No link ends when a ping is
// due, as the ping's cell would still be in use then.

func TestStalledHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		_, hello := greet(t, n, 1)
		for _, part := range [][]byte{nil, hello[:1], hello[:cell.Size-1]} {
			p, conn := newPeer(t)
			go p.conn.Write(part) //nolint:errcheck // Accept tells
			if _, err := link.Accept(conn, n.keys, link.Config{}); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("accept after %d bytes: %v, want %v", len(part), err, os.ErrDeadlineExceeded)
			}
		}

		p, conn := newPeer(t)
		go p.conn.Write(hello) //nolint:errcheck // Accept tells
		if _, err := link.Accept(conn, n.keys, link.Config{}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("accept when the reply is not read: %v, want %v", err, os.ErrDeadlineExceeded)
		}

		_, conn = newPeer(t)
		to, err := n.Recipient(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := link.Initiate(conn, n.ID, to, link.Config{}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("initiate when the hello is not read: %v, want %v", err, os.ErrDeadlineExceeded)
		}
	})
}

// A link says for how long its pings have had no answer.
func TestUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := initiator(t, link.Config{PingEvery: 10 * time.Second})
		if d := l.Unanswered(); d != 0 {
			t.Errorf("before the first ping: %v", d)
		}
		select {
		case <-l.Measured():
			t.Error("it was measured before the first ping")
		default:
		}
		time.Sleep(25 * time.Second) // nobody reads before
		ping := p.mustRead()[0]
		if d := l.Unanswered(); d != 15*time.Second {
			t.Errorf("without an answer: %v, want 15s", d)
		}
		for {
			synctest.Wait()
			p.write(p.record(rawCell(0, cell.Pong, ping[cell.HeaderSize:])))
			synctest.Wait()
			if l.Unanswered() == 0 {
				break
			}
			ping = p.mustRead()[0]
		}
		time.Sleep(time.Second)
		if d := l.Unanswered(); d != 0 {
			t.Errorf("after the answer: %v", d)
		}
		if <-l.Measured(); l.RTT() == 0 {
			t.Error("it was measured, and its round trip is not known")
		}
	})
}

func TestStalledReply(t *testing.T) {
	for _, size := range []int{0, 1, cell.Size - 1} {
		synctest.Test(t, func(t *testing.T) {
			p, conn := newPeer(t)
			go func() {
				readFrame(p.conn, 0)             //nolint:errcheck // the link tells
				p.conn.Write(make([]byte, size)) //nolint:errcheck // the link tells
				p.drain()
			}()
			l := initiate(t, conn, newNode(t), link.Config{})
			_, in := open(t, l)
			wantTimeout(t, l, "read reply")
			in.wantEnd(t, cell.LinkBroken, 0)
		})
	}
}

func wantTimeout(t testing.TB, l *link.Link, what string) {
	t.Helper()
	<-l.Done()
	if !errors.Is(l.Err(), os.ErrDeadlineExceeded) {
		t.Errorf("%v, want %v", l.Err(), os.ErrDeadlineExceeded)
	}
	if r := link.Reason(l.Err()); r != cell.TimedOut {
		t.Errorf("the link ended: %s", r)
	}
	wantError(t, "the link", l.Err(), what)
}

func TestSilence(t *testing.T) {
	for _, part := range []int{0, 1, 2, 3, cell.Size} {
		synctest.Test(t, func(t *testing.T) {
			p, l := initiator(t, link.Config{})
			go p.drain()
			time.Sleep(time.Second)
			p.write(p.record(rawCell(0, cell.Padding, nil)))
			p.write(p.record(rawCell(0, cell.Padding, nil))[:part])
			wantTimeout(t, l, "read record")
		})
	}
}

func TestPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l := responder(t, link.Config{PingEvery: 16 * time.Second})
		_, in := open(t, l)
		wantTimeout(t, l, "write record")
		in.wantEnd(t, cell.LinkBroken, 0)
	})
}

// Pings keep a link that nobody uses, and measure it.
func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		near, far := net.Pipe()
		done := make(chan accepted)
		go func() {
			l, err := link.Accept(far, n.keys, link.Config{})
			done <- accepted{l, err}
		}()
		a := initiate(t, near, n, link.Config{Identity: n.key})
		b := <-done
		if b.err != nil {
			t.Fatal(b.err)
		}
		time.Sleep(time.Hour + time.Second)
		if a.Err() != nil || b.link.Err() != nil || a.RTT() <= 0 || b.link.RTT() <= 0 {
			t.Errorf("after an hour: %v and %v, round trips %v and %v", a.Err(), b.link.Err(), a.RTT(), b.link.RTT())
		}
		end(t, a)
		end(t, b.link)
	})
}

// Records that always come with the header of the next one are no silence.
func TestBusyForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := initiator(t, link.Config{})
		go p.drain()
		next := p.record(rawCell(0, cell.Padding, nil))
		p.write(next[:2])
		for range 100 {
			time.Sleep(time.Second)
			this := next
			next = p.record(rawCell(0, cell.Padding, nil))
			p.conn.Write(append(this[2:], next[:2]...)) //nolint:errcheck // the link tells
		}
		if err := l.Err(); err != nil {
			t.Errorf("the link ended: %v", err)
		}
	})
}

// A peer that goes on sending can't keep a link that has finished.
func TestFinishIsFinal(t *testing.T) {
	for _, sends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p, l := initiator(t, link.Config{})
			go p.drain()
			l.Finish()
			l.Finish()
			synctest.Wait()
			if _, err := l.Open(newInbox(t), nil); !errors.Is(err, link.ErrLegClosed) {
				t.Errorf("open: %v, want %v", err, link.ErrLegClosed)
			}
			for range 30 {
				time.Sleep(100 * time.Millisecond)
				if sends && l.Err() == nil {
					p.conn.Write(p.record(rawCell(0, cell.Padding, nil))) //nolint:errcheck // the link tells
				}
			}
			if l.Err() == nil {
				t.Error("the link did not end")
			}
		})
	}
}

// A connection that calls closed when the reply has been read.
type replied struct {
	net.Conn
	left int
	then func()
}

func (r *replied) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	if r.left -= n; r.left == 0 {
		r.then()
	}
	return n, err
}

// A link that is closed while it takes the reply forgets its proof of identity.
func TestCloseAtReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t)
		near, far := net.Pipe()
		var l *link.Link
		conn := &replied{near, cell.Size, func() {
			l.Close()
			synctest.Wait() // until the writer is gone
		}}
		answer := make(chan struct{})
		go func() {
			hello, _ := readFrame(far, 0)
			<-answer
			r, err := n.keys.Respond(label, hello)
			if err != nil {
				t.Error(err)
			}
			far.Write(append(r.Reply, make([]byte, cell.Size-len(r.Reply))...)) //nolint:errcheck // the link tells
		}()
		l = initiate(t, conn, n, link.Config{Identity: n.key})
		close(answer)
		<-l.Done()
	})
}
