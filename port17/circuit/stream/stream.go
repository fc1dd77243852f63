package stream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"safing/port17/cell"
)

const (
	// firstReach is how many bytes of a stream may be sent before its receiver
	// has said anything, and maxReach how many it lets be under way at most.
	firstReach = 256 << 10
	maxReach   = 16 << 20
	// renewals is how often a reader allows more while it reads as much as it
	// lets be under way: but for one such part, all of that can be.
	renewals = 8
	// busyReader: a reader that takes as much as is allowed in less than that
	// gets more allowed, so that a path of up to that round trip stays full.
	busyReader = 600 * time.Millisecond
)

var (
	errWriteClosed = fmt.Errorf("stream: write after close: %w", net.ErrClosed)
	errReadClosed  = fmt.Errorf("stream: read after close: %w", net.ErrClosed)
	errStopped     = errors.New("stream: the other side reads no more")
)

// A Stream is one byte stream on a circuit. It is a net.Conn whose sending side
// can be closed alone; all methods may be called from any goroutine. Read and
// Write end with an *Error when the exit or the destination has ended the
// stream, and with the circuit's error when the circuit has ended.
//
// io.Copy to and from a Stream moves data without copying it in between where
// the other side is a *net.TCPConn.
type Stream struct {
	mux *Mux
	id  uint32
	to  cell.Target

	reading sync.Mutex    // one reader at a time
	writing sync.Mutex    // one writer at a time
	room    chan struct{} // a token when a writer should look again
	news    chan struct{} // a token when a reader should look again
	done    chan struct{} // closed when the stream is reset or the circuit ends
	up      chan struct{} // closed when the exit has connected
	upOnce  sync.Once

	readBy, writeBy deadline

	// Guarded by mux.mu: the sending side.
	limit     uint64 // bytes that may be sent, and have been
	sent      uint64
	early     []byte // target, unless announced, and data that were not sent
	target    int    // length of the target in early
	announced bool   // the other end knows of the stream
	busy      bool   // between reserving and queueing
	waiting   bool   // in mux.waiting
	ended     bool   // nothing more will be written
	endSent   bool
	stopped   bool // the other side reads no more
	resetBy   error
	pending   frames
	reason    cell.Reason // of the reset to send
	reached   netip.Addr  // what the exit has connected to, if it says

	// The receiving side. mu may be taken while mux.mu is held.
	mu         sync.Mutex
	inbox      inbox
	boundaries *boundaries // of datagrams; nil if the stream has none
	whole      int         // datagrams that wait to be read
	got        uint64      // bytes received, read, and allowed
	read       uint64
	allowed    uint64
	reach      uint64 // how far ahead of read
	offered    time.Time
	eof        bool
	closed     bool // by this end
	err        error
	onStop     func(reset bool)
	stopSeen   bool
	pour       func() // set by Pour: writes what has arrived
	poured     bool   // a goroutine is at it
	answer     answer
}

func newStream(m *Mux, id uint32, to cell.Target) *Stream {
	s := &Stream{
		mux: m, id: id, to: to,
		room: make(chan struct{}, 1), news: make(chan struct{}, 1),
		done: make(chan struct{}), up: make(chan struct{}),
		limit: firstReach, allowed: firstReach, reach: firstReach,
		offered: m.now(),
	}
	if to.UDP {
		s.boundaries = &boundaries{names: m.config.Accept != nil}
	}
	return s
}

// Target returns what the stream is, or is to be, connected to.
func (s *Stream) Target() cell.Target { return s.to }

// Done is closed when the stream was reset or its circuit has ended.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Err returns why the stream was reset; nil as long as it was not.
func (s *Stream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// OnStop sets what is called when the other side reads no more, and when the
// stream is reset, so that whoever feeds the stream can stop. It must not
// block. If either has happened already it is called at once.
func (s *Stream) OnStop(f func(reset bool)) {
	s.mu.Lock()
	s.onStop = f
	seen, err := s.stopSeen, s.err
	s.mu.Unlock()
	if seen || err != nil {
		f(err != nil)
	}
}

// Read implements net.Conn. It returns io.EOF after all that the other side
// sent before it closed its sending side.
func (s *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.readBy.over() {
		return 0, os.ErrDeadlineExceeded
	}
	for {
		n, grow, err := s.take(p)
		if grow {
			s.offerMore()
		}
		if n > 0 || err != nil {
			return n, err
		}
		if err := s.awaitNews(); err != nil {
			return 0, err
		}
	}
}

// take moves what has arrived to p.
func (s *Stream) take(p []byte) (n int, grow bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false, errReadClosed
	}
	if n = s.inbox.read(p, s.mux.pool); n > 0 {
		return n, s.readLocked(n), nil
	}
	return 0, false, s.overLocked()
}

// overLocked returns what a reader gets when there is no more data.
func (s *Stream) overLocked() error {
	switch {
	case s.eof:
		return io.EOF
	case s.err != nil:
		return s.err
	}
	return nil
}

func (s *Stream) awaitNews() error {
	expired := s.readBy.wait()
	select {
	case <-expired:
		return os.ErrDeadlineExceeded
	default:
	}
	select {
	case <-s.news:
		return nil
	case <-s.done:
		return nil // the reader finds out why
	case <-expired:
		return os.ErrDeadlineExceeded
	}
}

// Write implements net.Conn. It returns when the data is on its way.
func (s *Stream) Write(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.writeBy.over() {
		return 0, os.ErrDeadlineExceeded
	}
	total := 0
	for len(p) > 0 {
		cells, n, err := s.mux.reserve(s, len(p))
		if err == nil && cells == 0 {
			err = s.awaitRoom()
		}
		if err != nil {
			return total, err
		}
		if n == 0 {
			continue
		}
		if err := s.sendCopy(p[:n], cells); err != nil {
			return total, err
		}
		total += n
		p = p[n:]
	}
	return total, nil
}

func (s *Stream) sendCopy(p []byte, cells int) error {
	var bufs [batch]*cell.Buf
	n := len(p)
	for i := range cells {
		bufs[i] = s.mux.pool.Get()
		p = p[copy(s.mux.place(bufs[i]), p):]
	}
	return s.mux.send(s, bufs[:cells], n)
}

func (s *Stream) awaitRoom() error {
	expired := s.writeBy.wait()
	select {
	case <-expired:
		s.mux.leave(s)
		return os.ErrDeadlineExceeded
	default:
	}
	select {
	case <-s.room:
		return nil
	case <-s.done:
		s.mux.leave(s)
		return s.doneErr()
	case <-expired:
		s.mux.leave(s)
		return os.ErrDeadlineExceeded
	}
}

func (s *Stream) doneErr() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed && s.err == nil {
		return errWriteClosed
	}
	return s.err
}

// CloseWrite says to the other side that nothing more comes. What was written
// still arrives, and what the other side sends can still be read.
func (s *Stream) CloseWrite() error {
	m := s.mux
	m.mu.Lock()
	if !s.ended && s.resetBy == nil && m.err == nil {
		s.ended = true
		if !s.busy {
			m.unbusyLocked(s)
		}
		s.wake()
	}
	m.mu.Unlock()
	m.kick()
	return nil
}

// CloseRead says to the other side that what it sends is not read any more.
func (s *Stream) CloseRead() error {
	if s.shutRead() {
		s.mux.mu.Lock()
		if s.announced {
			s.mux.controlLocked(s, frameStop)
		}
		s.mux.mu.Unlock()
		s.mux.kick()
	}
	return nil
}

// shutRead drops what has arrived and says whether the other side may still be
// sending.
func (s *Stream) shutRead() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.closed
	s.closed = true
	s.inbox.drop(s.mux.pool)
	s.newsLocked()
	return !was && !s.eof && s.err == nil
}

// Close closes both sides. What was written still arrives.
func (s *Stream) Close() error {
	m := s.mux
	m.mu.Lock()
	if !s.announced {
		s.ended = true
		m.opening = without(m.opening, s)
		delete(m.streams, s.id)
		s.wake()
		m.mu.Unlock()
		s.shutRead()
		return nil
	}
	m.mu.Unlock()
	s.CloseWrite()
	s.CloseRead()
	m.forget(s)
	return nil
}

// Reset ends both directions at once and tells the other side why. What has
// arrived is dropped.
func (s *Stream) Reset(r cell.Reason) {
	m := s.mux
	m.mu.Lock()
	delete(m.streams, s.id)
	m.opening = without(m.opening, s)
	s.early = nil
	if s.announced && m.err == nil && s.resetBy == nil {
		s.reason = r
		m.controlLocked(s, frameReset)
	}
	m.mu.Unlock()
	s.end(&Error{r})
	s.mu.Lock()
	s.inbox.drop(m.pool)
	s.mu.Unlock()
	m.kick()
}

// LocalAddr implements net.Conn. A stream has no address of its own here.
func (s *Stream) LocalAddr() net.Addr { return addr("") }

// RemoteAddr implements net.Conn: the target.
func (s *Stream) RemoteAddr() net.Addr { return addr(s.to.String()) }

// SetDeadline implements net.Conn.
func (s *Stream) SetDeadline(t time.Time) error {
	s.readBy.set(t)
	s.writeBy.set(t)
	return nil
}

// SetReadDeadline implements net.Conn.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.readBy.set(t)
	return nil
}

// SetWriteDeadline implements net.Conn.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.writeBy.set(t)
	return nil
}

type addr string

func (addr) Network() string  { return "port17" }
func (a addr) String() string { return string(a) }

func without(list []*Stream, s *Stream) []*Stream {
	for i, t := range list {
		if t == s {
			return append(list[:i:i], list[i+1:]...)
		}
	}
	return list
}
