package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxProxied     = 4096             // connections of one listener
	requestTimeout = 30 * time.Second // for the proxy request
	maxRequest     = 64 << 10         // bytes that are read for it
	dialTimeout    = 30 * time.Second
)

// A proxyRequest is what a proxy's user asks for, and how to answer.
type proxyRequest struct {
	Request
	accept func() error    // tells the user to go on
	refuse func(err error) // tells the user why not

	// associate is set if the request is for datagrams, and tells the user
	// where to send them.
	associate func(bound netip.AddrPort) error
}

var errNotLoopback = errors.New("datagrams are for users on this machine")

// ServeSOCKS answers SOCKS5 (RFC 1928) and HTTP CONNECT (RFC 9110, 9.3.6) on
// one listener until the context ends or the listener fails. Names are looked
// up by the exit. SOCKS users on this machine can have UDP ASSOCIATE, too.
//
// Its users' connections are like r, but for the destination and the isolation:
// those with different credentials, which may be anything, never share a
// circuit. Listeners whose r has another App share none either.
//
// An answer that all is well says that there is a way to an exit which allows
// the destination, and not that the exit has connected. When a connection
// breaks on the way, the user's is reset, so that a cut answer can't be taken
// for a whole one.
func (c *Client) ServeSOCKS(ctx context.Context, l net.Listener, r Request) error {
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	unregister := context.AfterFunc(ctx, func() { l.Close() })
	defer unregister()
	slots := make(chan struct{}, maxProxied)
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() {
				select { // such as too many open files
				case <-ctx.Done():
				case <-time.After(50 * time.Millisecond):
				}
				continue
			}
			return err
		}
		select {
		case slots <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		running.Go(func() {
			unregister := context.AfterFunc(ctx, func() { conn.Close() })
			done := func() {
				unregister()
				conn.Close()
				<-slots
			}
			to, sent := c.serveProxy(ctx, conn.(*net.TCPConn), r)
			if to == nil {
				done()
				return
			}
			running.Go(func() { // what came before has made this goroutine's stack large
				splice(conn.(*net.TCPConn), sent, to)
				to.Close()
				done()
			})
		})
	}
}

// serveProxy answers one connection of a proxy's user. If that asks for a
// connection through the network, it returns it, and what has been sent already;
// otherwise it returns once all is over.
func (c *Client) serveProxy(ctx context.Context, conn *net.TCPConn, as Request) (to *Conn, sent []byte) {
	conn.SetDeadline(time.Now().Add(requestTimeout))
	// What follows the request is read from the connection itself.
	r := bufio.NewReaderSize(io.LimitReader(conn, maxRequest), 4096)
	first, err := r.Peek(1)
	if err != nil {
		return nil, nil
	}
	read := readConnect
	if first[0] == socksVersion {
		read = readSOCKS
	}
	request, err := read(r, conn)
	if err != nil {
		c.config.Log.Debug("a proxy request was refused", "error", err)
		return nil, nil
	}
	as.Host, as.Addr, as.Isolation = request.Host, request.Addr, request.Isolation
	request.Request = as
	if request.associate != nil {
		conn.SetDeadline(time.Time{})
		c.serveAssociation(ctx, conn, request)
		return nil, nil
	}
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if to, err = c.Dial(dialCtx, request.Request); err != nil {
		request.refuse(err)
		// The error may name the destination.
		c.config.Log.Warn("a connection could not be opened")
		c.config.Log.Debug("a connection could not be opened", "error", err)
		return nil, nil
	}
	if request.accept() != nil {
		to.Close()
		return nil, nil
	}
	conn.SetDeadline(time.Time{})
	sent, _ = r.Peek(r.Buffered()) // it fails for more than that
	return to, bytes.Clone(sent)
}

// timedOut says whether what failed did so as its time was over.
func timedOut(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// splice copies both ways until both have ended. What has been sent already
// comes before the rest of the connection.
func splice(conn *net.TCPConn, sent []byte, to *Conn) {
	var answered atomic.Bool // the user has been told that nothing more comes
	over := make(chan struct{})
	to.pour(conn, func(err error) {
		if err != nil {
			conn.SetLinger(0) //nolint:errcheck // a connection that is gone needs none
			conn.Close()
		} else {
			answered.Store(true)
			conn.CloseWrite()
		}
		to.OnStop(func(bool) { conn.CloseRead() })
		close(over)
	})
	err := forward(conn, sent, to)
	if err == nil {
		// A reset that a write has met is an end to the next read.
		if _, gone := conn.Write(nil); gone != nil && !answered.Load() {
			err = gone
		}
	}
	switch {
	case err == nil:
		to.CloseWrite()
	case ofSocket(err):
		to.Reset()
	}
	<-over
}

// ofSocket says whether it was the user's connection that failed, not the one
// through the network: what that has brought may still be read.
func ofSocket(err error) bool {
	var number syscall.Errno
	return errors.As(err, &number) || errors.Is(err, net.ErrClosed)
}

func forward(conn *net.TCPConn, sent []byte, to *Conn) error {
	if len(sent) > 0 {
		if _, err := to.Write(sent); err != nil {
			return err
		}
	}
	_, err := to.ReadFrom(conn)
	return err
}
