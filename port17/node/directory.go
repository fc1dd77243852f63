package node

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

// Bounds of the directory that a node serves in streams.
const (
	maxReaders        = 512      // streams at once
	maxCircuitReaders = 8        // of them from one circuit
	readerBurst       = 96 << 20 // bytes that one circuit gets at once: a map of the greatest network, and its keys
	readerMinute      = 16 << 20 // and each further minute
	readerHeader      = 4 << 10  // bytes of a request
	readerTimeout     = 10 * time.Second
	readerLasts       = 5 * time.Minute // an answer
)

var errReadTooMuch = errors.New("node: the circuit has read too much of the directory")

// A library serves the directory to streams of circuits that end here.
type library struct {
	server http.Server
	slots  quota // by circuit
	conns  chan net.Conn
	done   chan struct{}
	over   sync.Once
}

func newLibrary(directory http.Handler, log *slog.Logger) *library {
	return &library{
		server: http.Server{
			Handler: directory, MaxHeaderBytes: readerHeader, ReadTimeout: readerTimeout,
			WriteTimeout: readerLasts, IdleTimeout: readerTimeout, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
		slots: quota{limit: maxReaders}, conns: make(chan net.Conn), done: make(chan struct{}),
	}
}

// run serves until close.
func (l *library) run() error {
	if err := l.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (l *library) close() {
	l.Close()
	l.server.Close()
}

// take hands a stream to the server, and gives its slot back once it has ended.
func (l *library) take(s *stream.Stream, c *readership, over func(error)) {
	r := &reader{Stream: s, allowed: c.allowed, free: func() {
		over(s.Err())
		c.streams.Add(-1)
		l.slots.give(&c.held, 1)
	}}
	s.Connected(netip.Addr{})
	select {
	case l.conns <- r:
	case <-l.done:
		s.Reset(cell.ShuttingDown)
		r.Close()
	}
}

// Accept implements net.Listener.
func (l *library) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *library) Close() error {
	l.over.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *library) Addr() net.Addr { return &net.UnixAddr{Name: "directory", Net: "port17"} }

// A reader is a stream in which the directory is served.
type reader struct {
	*stream.Stream
	allowed *rate.Limiter
	free    func()
	once    sync.Once
}

// Write implements net.Conn. Who has had too much gets no more.
func (r *reader) Write(p []byte) (int, error) {
	if !r.allowed.AllowN(time.Now(), len(p)) {
		r.Reset(cell.TooFast)
		return 0, errReadTooMuch
	}
	return r.Stream.Write(p)
}

// Close implements net.Conn.
func (r *reader) Close() error {
	err := r.Stream.Close()
	r.once.Do(r.free)
	return err
}

// A readership is what a circuit has of the directory.
type readership struct {
	allowed *rate.Limiter // bytes
	streams atomic.Int32
	held    int // of library.slots
}

// read takes a new stream to the directory. It must not block.
func (e *exit) read(s *stream.Stream, b *budget) {
	if e.library == nil {
		e.refuse(s, cell.BadTarget)
		return
	}
	if b.reads == nil {
		b.reads = &readership{allowed: rate.NewLimiter(readerMinute/60, readerBurst)}
	}
	c := b.reads
	if c.streams.Add(1) > maxCircuitReaders || !e.library.slots.take(&c.held, 1) {
		c.streams.Add(-1)
		e.refuse(s, cell.ExitFull)
		return
	}
	e.running.Go(func() {
		e.library.take(s, c, func(err error) { e.ended.add(endReason(err)) })
	})
}
