package wrap

import (
	"bufio"
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
	ws, err := upgrade(conn, cmp.Or(e.Host, e.Addr.String()), path)
	if !unregister() {
		err = cmp.Or(context.Cause(ctx), err)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect in WebSocket: %w", err), tcp.Close())
	}
	return ws, nil
}

// upgrade makes a WebSocket of an HTTP connection (RFC 6455, 4.1).
func upgrade(conn *tls.Conn, host, path string) (*webSocket, error) {
	key := newKey()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n", path, host, key); err != nil {
		return nil, err
	}
	early := bufio.NewReaderSize(io.LimitReader(conn, maxHeader), maxHeader)
	answer, err := http.ReadResponse(early, nil)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols || !hasToken(answer.Header, "Upgrade", "websocket") ||
		answer.Header.Get("Sec-WebSocket-Accept") != acceptKey(key) {
		return nil, fmt.Errorf("the web server takes no link: %s", answer.Status)
	}
	return newWebSocket(conn, early, true)
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
		key, ok := asksForWebSocket(r)
		switch {
		case r.URL.Path == path && ok:
			l.take(w, key)
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

// take answers a request for a WebSocket and hands that to Accept.
func (l *Listener) take(w http.ResponseWriter, key string) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	_, err = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptKey(key))
	conn.SetDeadline(time.Time{})
	var ws *webSocket
	if err == nil {
		ws, err = newWebSocket(conn.(*tls.Conn), rw.Reader, false)
	}
	if err != nil {
		conn.(*tls.Conn).NetConn().Close()
		return
	}
	l.offer(ws)
}
