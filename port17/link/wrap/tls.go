package wrap

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"safing/netmap"
)

const (
	maxHeader = 8 << 10 // bytes of a request or an answer
	// browserIdle is how long a connection without a request is kept.
	browserIdle = 30 * time.Second
)

// dialTLS connects to a node's web server, whose certificate is checked against
// the roots, or the system's if nil, when the entrance has a host name.
func dialTLS(ctx context.Context, e netmap.Entrance, path string, roots *x509.CertPool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", e.Addr.String())
	if err != nil {
		return nil, err
	}
	conn := tls.Client(tcp, &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, ServerName: e.Host, RootCAs: roots,
		InsecureSkipVerify: e.Host == "", // there is nothing to check; the link inside authenticates the node
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect in TLS: %w", err), tcp.Close())
	}
	unregister := context.AfterFunc(ctx, func() { tcp.Close() })
	ws, err := upgrade(ctx, conn, "https://"+cmp.Or(e.Host, e.Addr.String())+path)
	if !unregister() {
		err = cmp.Or(context.Cause(ctx), err)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect in WebSocket: %w", err), tcp.Close())
	}
	return newWebSocket(ws, conn), nil
}

// upgrade makes a WebSocket of an HTTP connection (RFC 6455, 4.1).
func upgrade(ctx context.Context, conn *tls.Conn, url string) (*websocket.Conn, error) {
	client := &http.Client{
		Transport: &http.Transport{
			DialTLSContext:         func(context.Context, string, string) (net.Conn, error) { return conn, nil },
			MaxResponseHeaderBytes: maxHeader, DisableCompression: true, DisableKeepAlives: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ws, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient: client, HTTPHeader: http.Header{"User-Agent": nil}, // it would be Go's
	})
	return ws, err
}

func listenTLS(ctx context.Context, address string, c Config) (*Listener, error) {
	cert, err := newCertificate(c)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	tcp, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	l := newListener(tcp.Addr())
	server := &http.Server{
		Handler: l.website(path(c.Node)),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}, GetCertificate: cert.get,
			SessionTicketsDisabled: true, // nobody is to be recognised by one
		},
		ReadTimeout: c.handshake, WriteTimeout: c.handshake, IdleTimeout: browserIdle, MaxHeaderBytes: maxHeader,
		ErrorLog:  log.New(io.Discard, "", 0), // it would have addresses
		ConnState: l.count,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, below{}, c)
		},
	}
	l.stop = func() { server.Close() }
	l.running.Go(func() {
		if err := server.ServeTLS(tcp, "", ""); !errors.Is(err, http.ErrServerClosed) {
			c.Log.Error("no more links in TLS are taken", "error", err)
			l.Close()
		}
	})
	return l, nil
}

// count bounds how many connections have not become links.
func (l *Listener) count(conn net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		l.running.Add(1)
		if l.halfOpen.Add(1) > maxHalfOpen {
			conn.(*tls.Conn).NetConn().Close() // StateClosed follows
		}
	case http.StateHijacked, http.StateClosed:
		l.halfOpen.Add(-1)
		l.running.Done()
	}
}

// page is what somebody sees who looks at a node with a browser.
const page = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Welcome</title>\n<p>There is nothing here yet.\n</html>\n"

// website answers as many web servers do, but where links come in.
func (l *Listener) website(path string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == path && asksForWebSocket(r):
			l.take(w, r)
		case r.URL.Path != "/":
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "405 method not allowed", http.StatusMethodNotAllowed)
		default:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			io.WriteString(w, page) //nolint:errcheck // whoever asked has gone
		}
	})
}

// below is the key of the connection that a request came over.
type below struct{}

// take answers a request for a WebSocket and hands that to Accept.
func (l *Listener) take(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // any origin will do: no browser has secrets here
	if err != nil {
		return
	}
	l.offer(newWebSocket(ws, r.Context().Value(below{}).(*tls.Conn)))
}
