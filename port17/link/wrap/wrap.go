package wrap

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"safing/netmap"
)

const (
	handshakeTimeout = 10 * time.Second
	// maxHalfOpen is how many connections of one listener may be at it.
	maxHalfOpen = 512
)

// Dial connects to an entrance of the node.
func Dial(ctx context.Context, node netmap.NodeID, e netmap.Entrance) (net.Conn, error) {
	switch e.Wrapping {
	case netmap.TCP:
		return new(net.Dialer).DialContext(ctx, "tcp", e.Addr.String())
	case netmap.QUIC:
		return dialQUIC(ctx, e.Addr)
	case netmap.TLS:
		return dialTLS(ctx, e, path(node), nil)
	}
	return nil, fmt.Errorf("connect in unknown wrapping %s", e.Wrapping)
}

// Of returns the wrapping of a connection that this package or net has made.
func Of(c net.Conn) netmap.Wrapping {
	switch c.(type) {
	case *quicConn:
		return netmap.QUIC
	case *webSocket:
		return netmap.TLS
	}
	return netmap.TCP
}

// Config says how a Listener takes connections.
type Config struct {
	// Node is whose links come in.
	Node netmap.NodeID
	// ResetKey is a secret of the node's, the same after a restart: with it, QUIC
	// tells those at once who were connected to a node that has crashed. Without
	// one they find out by themselves.
	ResetKey *[32]byte
	// Certificate and Key are PEM files for TLS, read again when they change. If
	// empty, a certificate is made that nobody can check.
	Certificate, Key string
	// Log gets what an operator wants to know; nil discards.
	Log *slog.Logger

	// handshake is how long a connection may take until it carries a link;
	// 0 means handshakeTimeout.
	handshake time.Duration
}

// Listen takes connections in the wrapping, which is not plain TCP, at the
// address.
func Listen(ctx context.Context, w netmap.Wrapping, address string, c Config) (*Listener, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.handshake == 0 {
		c.handshake = handshakeTimeout
	}
	switch w {
	case netmap.QUIC:
		return listenQUIC(ctx, address, c)
	case netmap.TLS:
		return listenTLS(ctx, address, c)
	}
	return nil, fmt.Errorf("listen in wrapping %s", w)
}

// path is where a node's web server takes links. Who does not know the map, and
// so the node, does not find it.
func path(node netmap.NodeID) string {
	sum := sha256.Sum256(append([]byte("port17 websocket v1\x00"), node[:]...))
	return "/" + hex.EncodeToString(sum[:16])
}

// A Listener is a net.Listener for one wrapping. Connections that it has
// returned outlive it.
type Listener struct {
	addr     net.Addr
	conns    chan net.Conn
	halfOpen atomic.Int64

	closing sync.Once
	stop    func() // ends what takes connections
	closed  chan struct{}
	running sync.WaitGroup
}

func newListener(addr net.Addr) *Listener {
	return &Listener{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept returns the next connection that has come in and may carry a link.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// offer hands a connection to Accept.
func (l *Listener) offer(c net.Conn) {
	select {
	case l.conns <- c:
	case <-l.closed:
		c.Close()
	}
}

// Addr returns where the listener listens.
func (l *Listener) Addr() net.Addr { return l.addr }

// Close takes no more connections. It does not wait.
func (l *Listener) Close() error {
	l.closing.Do(func() {
		close(l.closed)
		l.stop()
	})
	return nil
}

// Wait returns when a listener that was closed has ended, and the connections
// that share its socket have too.
func (l *Listener) Wait() { l.running.Wait() }
