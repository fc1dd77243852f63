package wrap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

const (
	// alpn is the name of what is spoken inside QUIC.
	alpn = "port17"
	// idleTimeout is longer than what a link waits for an answer to its pings,
	// which keep a connection alive.
	idleTimeout = 90 * time.Second

	// A connection begins with the least window and gets more when it is read
	// fast enough. All of a listener together get windowBudget besides: a peer
	// that leaves out one packet makes us keep what comes behind it.
	leastWindow  = 256 << 10
	mostWindow   = 8 << 20
	windowBudget = 512 << 20
)

func quicConfig(handshake time.Duration) *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout: handshake / 2, // twice this in all
		MaxIdleTimeout:       idleTimeout,
		MaxIncomingStreams:   -1, MaxIncomingUniStreams: -1,
		InitialStreamReceiveWindow: leastWindow, MaxStreamReceiveWindow: mostWindow,
		InitialConnectionReceiveWindow: leastWindow, MaxConnectionReceiveWindow: mostWindow,
	}
}

func dialQUIC(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn, err := quic.DialAddr(ctx, to.String(), &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{alpn},
		InsecureSkipVerify: true, // the link inside authenticates the node
	}, quicConfig(handshakeTimeout))
	if err != nil {
		return nil, fmt.Errorf("connect in QUIC: %w", err)
	}
	stream, err := conn.OpenStream()
	if err != nil {
		conn.CloseWithError(0, "")
		return nil, fmt.Errorf("connect in QUIC: %w", err)
	}
	return &quicConn{stream, conn}, nil
}

// A quicConn is the one stream of a QUIC connection.
type quicConn struct {
	*quic.Stream
	conn *quic.Conn
}

func (c *quicConn) LocalAddr() net.Addr  { return c.conn.LocalAddr() }
func (c *quicConn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// Read returns io.EOF also when the other side has closed the connection.
func (c *quicConn) Read(b []byte) (int, error) {
	n, err := c.Stream.Read(b)
	if over := new(quic.ApplicationError); errors.As(err, &over) {
		err = io.EOF
		if !over.Remote {
			err = net.ErrClosed
		}
	}
	return n, err
}

func (c *quicConn) CloseWrite() error { return c.Stream.Close() }

func (c *quicConn) Close() error { return c.conn.CloseWithError(0, "") }

func listenQUIC(ctx context.Context, address string, c Config) (*Listener, error) {
	own, err := selfSigned()
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	socket, err := lc.ListenPacket(ctx, "udp", address)
	if err != nil {
		return nil, err
	}
	l := newListener(socket.LocalAddr())
	var open sync.WaitGroup // connections: the socket is theirs
	transport := &quic.Transport{
		Conn: socket, StatelessResetKey: (*quic.StatelessResetKey)(c.ResetKey),
		VerifySourceAddress: func(net.Addr) bool {
			return l.halfOpen.Load() > maxHalfOpen/2 // then it costs a round trip to be counted
		},
		ConnContext: func(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
			if l.halfOpen.Add(1) > maxHalfOpen {
				l.halfOpen.Add(-1)
				return nil, errors.New("too many handshakes are under way")
			}
			open.Add(1)
			context.AfterFunc(ctx, open.Done)
			done := sync.OnceFunc(func() { l.halfOpen.Add(-1) })
			context.AfterFunc(ctx, done)
			return context.WithValue(ctx, handshakeDone{}, done), nil
		},
	}
	w := windows{granted: make(map[*quic.Conn]uint64)}
	q := quicConfig(c.handshake)
	q.MaxIncomingStreams, q.RequireStreamCreditRelease = 1, true
	q.AllowConnectionWindowIncrease = w.grant
	listener, err := transport.Listen(&tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{alpn}, Certificates: []tls.Certificate{own},
		SessionTicketsDisabled: true, // nobody is to be recognised by one
	}, q)
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	ctx, l.stop = context.WithCancel(context.Background())
	l.running.Go(func() {
		for {
			conn, err := listener.Accept(ctx)
			if err != nil { // it was closed
				break
			}
			context.AfterFunc(conn.Context(), func() { w.forget(conn) })
			l.running.Go(func() { l.awaitStream(ctx, conn, c.handshake) })
		}
		listener.Close()
		for conn, err := listener.Accept(context.Background()); err == nil; conn, err = listener.Accept(context.Background()) {
			conn.CloseWithError(0, "") // nobody has seen it
		}
		open.Wait()
		transport.Close()
		socket.Close()
	})
	return l, nil
}

// handshakeDone is the key of a function that is called once a connection is no
// longer half open.
type handshakeDone struct{}

// awaitStream waits for the stream that carries the link.
func (l *Listener) awaitStream(ctx context.Context, conn *quic.Conn, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := conn.AcceptStream(ctx)
	conn.Context().Value(handshakeDone{}).(func())()
	if err != nil {
		conn.CloseWithError(0, "")
		return
	}
	l.offer(&quicConn{stream, conn})
}

// windows are what a listener's connections may have sent without being read,
// besides the least for each.
type windows struct {
	mu      sync.Mutex
	granted map[*quic.Conn]uint64
	sum     uint64
}

// grant says whether a connection may have more.
func (w *windows) grant(c *quic.Conn, more uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sum+more > windowBudget {
		return false
	}
	w.granted[c] += more
	w.sum += more
	return true
}

func (w *windows) forget(c *quic.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sum -= w.granted[c]
	delete(w.granted, c)
}
