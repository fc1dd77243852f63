package wrap

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// maxMessage is how many bytes a message may have: a record of a link with room
// to spare.
const maxMessage = 72 << 10

// A webSocket carries bytes in binary messages. Where messages begin and end has
// no meaning. Deadlines and the end of one direction are those of TLS below: the
// library answers a close frame with the end of both.
type webSocket struct {
	net.Conn // reads and writes messages
	ws       *websocket.Conn
	tls      *tls.Conn
}

func newWebSocket(ws *websocket.Conn, conn *tls.Conn) *webSocket {
	c := &webSocket{websocket.NetConn(context.Background(), ws, websocket.MessageBinary), ws, conn}
	ws.SetReadLimit(maxMessage) // NetConn has none
	return c
}

// Read returns io.EOF also when the other side has ended TLS.
func (c *webSocket) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		err = io.EOF
	}
	return n, err
}

// Write sends messages.
func (c *webSocket) Write(b []byte) (n int, err error) {
	for {
		part := b[n:min(len(b), n+maxMessage)]
		if _, err := c.Conn.Write(part); err != nil {
			return n, err
		}
		if n += len(part); n == len(b) {
			return n, nil
		}
	}
}

// CloseWrite says that nothing more comes.
func (c *webSocket) CloseWrite() error { return c.tls.CloseWrite() }

// Close ends the connection at once. The goodbyes of WebSocket and TLS could wait
// for a peer that does not read.
func (c *webSocket) Close() error {
	err := c.NetConn().Close()
	c.ws.CloseNow() //nolint:errcheck // what it closes is closed
	return err
}

// NetConn returns the TCP connection below.
func (c *webSocket) NetConn() net.Conn { return c.tls.NetConn() }

func (c *webSocket) LocalAddr() net.Addr                { return c.tls.LocalAddr() }
func (c *webSocket) RemoteAddr() net.Addr               { return c.tls.RemoteAddr() }
func (c *webSocket) SetDeadline(t time.Time) error      { return c.tls.SetDeadline(t) }
func (c *webSocket) SetReadDeadline(t time.Time) error  { return c.tls.SetReadDeadline(t) }
func (c *webSocket) SetWriteDeadline(t time.Time) error { return c.tls.SetWriteDeadline(t) }

// asksForWebSocket says whether the library would take a request: its refusals
// say more than a web server's.
func asksForWebSocket(r *http.Request) bool {
	keys := r.Header.Values("Sec-WebSocket-Key")
	if len(keys) != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(keys[0])
	return err == nil && len(key) == 16 && r.Method == http.MethodGet && r.ProtoAtLeast(1, 1) &&
		r.Header.Get("Sec-WebSocket-Version") == "13" && hasToken(r.Header, "Connection", "upgrade") && hasToken(r.Header, "Upgrade", "websocket")
}

// hasToken says whether a header has the token in one of its lists.
func hasToken(h http.Header, name, token string) bool {
	for _, list := range h.Values(name) {
		for t := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
