package portmaster

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// relayBuffer is the size of one read. It holds four full cells of Port17.
const relayBuffer = 16 << 10

// A relay carries bytes between an application and a tunnel, both ways, each
// way closed on its own.
type relay struct {
	app      *net.TCPConn
	tunnel   TunnelConn
	sent     atomic.Uint64 // from the application
	received atomic.Uint64 // to the application
	observe  func([]byte)  // sees what the application sends, before it is sent
}

// errApp and errTunnel say which side broke.
var (
	errApp    = errors.New("the application's side")
	errTunnel = errors.New("the tunnel")
)

// run returns when both ways are done: nil when both ended as they should,
// else the first error, which wraps errApp or errTunnel. When one way breaks,
// the other is broken off, and the caller must close both connections.
func (r *relay) run() error {
	var both sync.WaitGroup
	var up, down error
	both.Go(func() {
		if up = r.up(); up != nil {
			r.tunnel.Close()
			r.reset()
		}
	})
	both.Go(func() {
		if down = r.down(); down != nil {
			r.reset()
			r.tunnel.Close()
		}
	})
	both.Wait()
	// A broken way breaks the other, with errors that say only that it was
	// closed: the one that does not is the cause.
	if up != nil && (down == nil || errors.Is(down, net.ErrClosed)) {
		return up
	}
	return down
}

// up carries from the application into the tunnel.
func (r *relay) up() error {
	buf := make([]byte, relayBuffer)
	for {
		n, err := r.app.Read(buf)
		if n > 0 {
			r.observe(buf[:n])
			r.sent.Add(uint64(n))
			if _, err := r.tunnel.Write(buf[:n]); err != nil {
				return side(errTunnel, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return finish(errTunnel, r.tunnel.CloseWrite())
		}
		if err != nil {
			return side(errApp, err)
		}
	}
}

// down carries from the tunnel to the application.
func (r *relay) down() error {
	buf := make([]byte, relayBuffer)
	for {
		n, err := r.tunnel.Read(buf)
		if n > 0 {
			if _, err := r.app.Write(buf[:n]); err != nil {
				return side(errApp, err)
			}
			r.received.Add(uint64(n))
		}
		if errors.Is(err, io.EOF) {
			return finish(errApp, r.app.CloseWrite())
		}
		if err != nil {
			return side(errTunnel, err)
		}
	}
}

// reset ends the application's connection so that it cannot mistake the end
// for a complete answer.
func (r *relay) reset() {
	r.app.SetLinger(0) //nolint:errcheck // a closed connection needs no reset
	r.app.Close()
}

// finish judges the end of one way: a side that had ended both ways by itself
// is no error.
func finish(which, err error) error {
	if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return side(which, err)
}

func side(which, err error) error { return &relayError{which, err} }

// A relayError says which side of a relay broke, and how.
type relayError struct{ side, err error }

func (e *relayError) Error() string   { return e.side.Error() + ": " + e.err.Error() }
func (e *relayError) Unwrap() []error { return []error{e.side, e.err} }
