package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

// patience is how long a connection waits for its first bytes, to send them
// along with what opens it.
const patience = 5 * time.Millisecond

// HopInfo names one node of a connection's route.
type HopInfo struct {
	ID      netmap.NodeID `json:"id"`
	Name    string        `json:"name"`
	Owner   string        `json:"owner"`
	Country string        `json:"country"`
}

// A Conn is a connection through the network. It is a net.Conn whose sending
// side can be closed alone.
type Conn struct {
	need   need
	on     atomic.Pointer[shared] // is replaced before started is closed, if at all
	looked atomic.Bool            // at the first bytes
	ended  sync.Once

	starting sync.Once
	started  chan struct{}
	stream   *stream.Stream // set before started is closed, as is err
	err      error

	deadlines deadlines
}

// deadlines keeps those of a connection that has not started: setting one must
// not start it without the data that comes next.
type deadlines struct {
	mu          sync.Mutex
	to          *stream.Stream // nil until there is one
	read, write time.Time
}

// apply hands the deadlines to the stream.
func (d *deadlines) apply(s *stream.Stream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to = s
	s.SetReadDeadline(d.read)
	s.SetWriteDeadline(d.write)
}

func (d *deadlines) setRead(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.read = t; d.to != nil {
		d.to.SetReadDeadline(t)
	}
}

func (d *deadlines) setWrite(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.write = t; d.to != nil {
		d.to.SetWriteDeadline(t)
	}
}

// Dial opens a connection. It returns once there is a link to the entry, and
// does not wait for the exit: a refusal is the error of the first Read. The
// exit is asked with the first Write, or a few milliseconds later without one.
func (c *Client) Dial(ctx context.Context, r Request) (*Conn, error) {
	t, err := r.target()
	if err != nil {
		return nil, err
	}
	n := c.need(r, t)
	s, err := c.shared(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("open a route: %w", err)
	}
	return newConn(s, n), nil
}

func newConn(s *shared, n need) *Conn {
	conn := &Conn{need: n, started: make(chan struct{})}
	conn.on.Store(s)
	time.AfterFunc(patience, func() { conn.start(nil) })
	return conn
}

// start opens the stream with early data, once. It says whether it was this
// call that did.
func (c *Conn) start(early []byte) (now bool) {
	c.starting.Do(func() {
		now = true
		c.looked.Store(early != nil)
		if c.err = c.leaveExposed(early); c.err == nil {
			c.stream, c.err = c.on.Load().open(c.need, early)
		}
		if c.err == nil {
			c.deadlines.apply(c.stream)
		}
		close(c.started)
	})
	return now
}

// wait returns when the stream is there.
func (c *Conn) wait() error {
	<-c.started
	return c.err
}

// Route returns the nodes that the connection passes, entry first.
func (c *Conn) Route() []HopInfo { return c.on.Load().route() }

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.wait(); err != nil {
		return 0, err
	}
	n, err := c.stream.Read(p)
	return n, c.on.Load().heed(err)
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	n := min(len(p), stream.MaxEarly)
	if !c.start(p[:n]) {
		n = 0
	}
	if err := c.wait(); err != nil {
		return 0, err
	}
	if err := c.refuseExposed(p); err != nil {
		return 0, err
	}
	k, err := c.stream.Write(p[n:])
	return n + k, c.on.Load().heed(err)
}

// ReadFrom implements io.ReaderFrom.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	first := make([]byte, 16<<10)
	n, err := r.Read(first)
	if n > 0 {
		if n, err := c.Write(first[:n]); err != nil {
			return int64(n), err
		}
	}
	if err == io.EOF {
		return int64(n), nil
	}
	if err != nil {
		return int64(n), err
	}
	if err := c.wait(); err != nil {
		return int64(n), err
	}
	rest, err := c.stream.ReadFrom(r)
	return int64(n) + rest, err
}

// WriteTo implements io.WriterTo.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	if err := c.wait(); err != nil {
		return 0, err
	}
	n, err := c.stream.WriteTo(w)
	return n, c.on.Load().heed(err)
}

// pour is WriteTo without a goroutine while nothing arrives.
func (c *Conn) pour(w io.Writer, over func(error)) {
	go func() {
		if err := c.wait(); err != nil {
			over(err)
			return
		}
		c.stream.Pour(w, func(err error) { over(c.on.Load().heed(err)) })
	}()
}

// CloseWrite says to the destination that nothing more comes.
func (c *Conn) CloseWrite() error {
	c.start(nil)
	if err := c.wait(); err != nil {
		return err
	}
	return c.stream.CloseWrite()
}

// Close closes both directions. What was written still goes out.
func (c *Conn) Close() error {
	c.ended.Do(func() {
		c.starting.Do(func() { // nothing was ever sent
			c.err = net.ErrClosed
			close(c.started)
		})
		if c.wait() == nil {
			c.stream.Close()
		}
		c.on.Load().unuse()
	})
	return nil
}

// Reset ends both directions abruptly, and so the exit's connection to the
// destination: what was sent so far is not taken for all.
func (c *Conn) Reset() {
	c.starting.Do(func() { // nothing was ever sent
		c.err = net.ErrClosed
		close(c.started)
	})
	if c.wait() == nil {
		c.stream.Reset(cell.ConnectionReset)
	}
}

// OnStop sets what is called, once, when the destination reads no more or the
// connection was reset. It must not block.
func (c *Conn) OnStop(f func(reset bool)) {
	if c.wait() != nil {
		f(true)
		return
	}
	c.stream.OnStop(f)
}

// LocalAddr implements net.Conn. A connection has no address of its own here.
func (c *Conn) LocalAddr() net.Addr { return addr("") }

// RemoteAddr implements net.Conn: the destination.
func (c *Conn) RemoteAddr() net.Addr { return addr(c.need.target.String()) }

type addr string

func (addr) Network() string  { return "port17" }
func (a addr) String() string { return string(a) }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.deadlines.setRead(t)
	c.deadlines.setWrite(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.deadlines.setRead(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.deadlines.setWrite(t)
	return nil
}
