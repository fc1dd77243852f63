package client

import (
	"bufio"
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
			defer func() { <-slots }()
			defer conn.Close()
			unregister := context.AfterFunc(ctx, func() { conn.Close() })
			defer unregister()
			c.serveProxy(ctx, conn.(*net.TCPConn), r)
		})
	}
}

// serveProxy answers one connection of a proxy's user.
func (c *Client) serveProxy(ctx context.Context, conn *net.TCPConn, as Request) {
	conn.SetDeadline(time.Now().Add(requestTimeout))
	// What follows the request is read from the connection itself.
	r := bufio.NewReaderSize(io.LimitReader(conn, maxRequest), 4096)
	first, err := r.Peek(1)
	if err != nil {
		return
	}
	read := readConnect
	if first[0] == socksVersion {
		read = readSOCKS
	}
	request, err := read(r, conn)
	if err != nil {
		c.config.Log.Debug("a proxy request was refused", "error", err)
		return
	}
	as.Host, as.Addr, as.Isolation = request.Host, request.Addr, request.Isolation
	request.Request = as
	if request.associate != nil {
		conn.SetDeadline(time.Time{})
		c.serveAssociation(ctx, conn, request)
		return
	}
	dialCtx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	to, err := c.Dial(dialCtx, request.Request)
	if err != nil {
		request.refuse(err)
		// The error may name the destination.
		c.config.Log.Warn("a connection could not be opened")
		c.config.Log.Debug("a connection could not be opened", "error", err)
		return
	}
	defer to.Close()
	if request.accept() != nil {
		return
	}
	conn.SetDeadline(time.Time{})
	splice(conn, r, to)
}

// timedOut says whether what failed did so as its time was over.
func timedOut(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// splice copies both ways until both have ended. What the reader has buffered
// comes before the rest of the connection.
func splice(conn *net.TCPConn, buffered *bufio.Reader, to *Conn) {
	var forward sync.WaitGroup
	var answered atomic.Bool // the user has been told that nothing more comes
	forward.Go(func() {
		err := forwardAll(conn, buffered, to)
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
	})
	if _, err := to.WriteTo(conn); err != nil {
		conn.SetLinger(0) //nolint:errcheck // a connection that is gone needs none
		conn.Close()
	} else {
		answered.Store(true)
		conn.CloseWrite()
	}
	to.OnStop(func(bool) { conn.CloseRead() })
	forward.Wait()
}

// ofSocket says whether it was the user's connection that failed, not the one
// through the network: what that has brought may still be read.
func ofSocket(err error) bool {
	var number syscall.Errno
	return errors.As(err, &number) || errors.Is(err, net.ErrClosed)
}

func forwardAll(conn *net.TCPConn, buffered *bufio.Reader, to *Conn) error {
	if n := buffered.Buffered(); n > 0 {
		if _, err := io.CopyN(to, buffered, int64(n)); err != nil {
			return err
		}
	}
	_, err := to.ReadFrom(conn)
	return err
}
