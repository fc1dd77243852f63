package wrap

import (
	"bufio"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// A frame (RFC 6455, 5.2):
//
//	 0       1       2              4              10     14
//	+-------+-------+--------------+--------------+------+---------+
//	| FIN   | MASK  | length, if 126 or 127       | mask | payload |
//	| opcode| length|              |              |      |         |
//	+-------+-------+--------------+--------------+------+---------+
const (
	finBit  = 0x80
	maskBit = 0x80

	opContinuation = 0
	opBinary       = 2
	opClose        = 8
	opPing         = 9
	opPong         = 10

	maxFrameHeader = 14
	maxControl     = 125     // bytes of a control frame
	maxFrame       = 1 << 20 // bytes of a frame that is taken
	maxMessage     = 72 << 10
)

// A webSocket carries bytes in binary messages. Where messages begin and end has
// no meaning, and no memory is kept for a whole one.
type webSocket struct {
	*tls.Conn
	early  []byte // came with the handshake
	client bool

	// Owned by the reader.
	head  [maxFrameHeader + maxControl]byte // of the next frame, and a control frame's payload
	have  int                               // bytes of it
	frame frame                             // the current one; its length is what is left
	at    int                               // in its mask

	// pong is what the next write answers to the last ping, which one that has
	// to wait for the other side must not keep the reader from reading.
	mu   sync.Mutex
	pong []byte
}

// newWebSocket makes one of a connection whose handshake is over. What of that
// is read too much must not be more than the buffer has.
func newWebSocket(conn *tls.Conn, r *bufio.Reader, client bool) (*webSocket, error) {
	early, err := r.Peek(r.Buffered())
	return &webSocket{Conn: conn, early: append([]byte(nil), early...), client: client}, err
}

// A frame is what the header of one says.
type frame struct {
	op     byte
	fin    bool
	masked bool
	mask   [4]byte
	length int
}

// parseFrame reads the header of a frame, and returns how many bytes of b it
// has; more than b has if it is not whole.
func parseFrame(b []byte) (f frame, size int, err error) {
	size = 2
	if len(b) < size {
		return f, size, nil
	}
	f = frame{op: b[0] & 0x0f, fin: b[0]&finBit != 0, masked: b[1]&maskBit != 0, length: int(b[1] &^ maskBit)}
	if b[0]&0x70 != 0 {
		return f, size, errors.New("WebSocket frame with an extension that was not agreed on")
	}
	control := f.op >= opClose
	switch {
	case f.op != opContinuation && f.op != opBinary && (f.op < opClose || f.op > opPong):
		return f, size, fmt.Errorf("WebSocket frame of kind %d", f.op)
	case control && (!f.fin || f.length > maxControl):
		return f, size, errors.New("WebSocket control frame that is too long or in parts")
	}
	more := 0
	switch f.length {
	case 126:
		more = 2
	case 127:
		more = 8
	}
	size += more
	if f.masked {
		size += 4
	}
	if len(b) < size {
		return f, size, nil
	}
	length := uint64(f.length)
	switch more {
	case 2:
		length = uint64(binary.BigEndian.Uint16(b[2:]))
	case 8:
		length = binary.BigEndian.Uint64(b[2:])
	}
	if length > maxFrame {
		return f, size, fmt.Errorf("WebSocket frame of %d bytes", length)
	}
	f.length = int(length)
	if f.masked {
		copy(f.mask[:], b[size-4:])
	}
	return f, size, nil
}

// appendFrame appends a whole frame. Clients mask what they send.
func appendFrame(dst []byte, op byte, payload []byte, client bool) []byte {
	mask := byte(0)
	if client {
		mask = maskBit
	}
	dst = append(dst, finBit|op)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, mask|byte(n))
	case n < 1<<16:
		dst = binary.BigEndian.AppendUint16(append(dst, mask|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, mask|127), uint64(n))
	}
	if !client {
		return append(dst, payload...)
	}
	var key [4]byte
	rand.Read(key[:])
	dst = append(dst, key[:]...)
	at := len(dst)
	dst = append(dst, payload...)
	applyMask(dst[at:], key, 0)
	return dst
}

// applyMask masks or unmasks, beginning at a place in the mask, and returns
// where in it the next byte is (RFC 6455, 5.3).
func applyMask(b []byte, mask [4]byte, at int) int {
	var pattern [512]byte
	n := min(len(pattern), len(b)+3)
	for i := range n {
		pattern[i] = mask[(at+i)&3]
	}
	whole := len(pattern) // a multiple of the mask, so each piece begins alike
	for rest := b; len(rest) > 0; rest = rest[min(whole, len(rest)):] {
		piece := rest[:min(whole, len(rest))]
		subtle.XORBytes(piece, piece, pattern[:len(piece)])
	}
	return (at + len(b)) & 3
}

// Read reads what comes in messages.
func (c *webSocket) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for c.frame.length == 0 {
		if err := c.nextFrame(); err != nil {
			return 0, err
		}
	}
	n, err := c.readRaw(b[:min(len(b), c.frame.length)])
	if c.frame.masked {
		c.at = applyMask(b[:n], c.frame.mask, c.at)
	}
	c.frame.length -= n
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *webSocket) readRaw(b []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(b, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// nextFrame reads up to the payload of the next frame with data. What it has
// read stays when a deadline interrupts it.
func (c *webSocket) nextFrame() error {
	for {
		f, size, err := parseFrame(c.head[:c.have])
		if err != nil {
			return err
		}
		whole := c.have >= size
		if whole && f.masked == c.client {
			return errors.New("WebSocket frame masked by the wrong side")
		}
		if whole && f.op < opClose {
			c.frame, c.at, c.have = f, 0, 0
			return nil
		}
		if whole {
			size += f.length
			if whole = c.have >= size; whole {
				c.have = 0
				if err := c.control(f, c.head[size-f.length:size]); err != nil {
					return err
				}
				continue
			}
		}
		n, err := c.readRaw(c.head[c.have:size])
		c.have += n
		if err != nil {
			return err
		}
	}
}

// control handles a frame that is not data.
func (c *webSocket) control(f frame, payload []byte) error {
	applyMask(payload, f.mask, 0) // with zeros if it has none
	switch f.op {
	case opClose:
		return io.EOF
	case opPing:
		c.mu.Lock()
		c.pong = appendFrame(nil, opPong, payload, c.client)
		c.mu.Unlock()
	}
	return nil
}

var messages = sync.Pool{New: func() any {
	b := make([]byte, 0, maxMessage+2*(maxFrameHeader+maxControl))
	return &b
}}

// Write sends a message.
func (c *webSocket) Write(b []byte) (n int, err error) {
	for {
		part := b[n:min(len(b), n+maxMessage)]
		if err := c.send(opBinary, part); err != nil {
			return n, err
		}
		if n += len(part); n == len(b) {
			return n, nil
		}
	}
}

func (c *webSocket) send(op byte, payload []byte) error {
	m := messages.Get().(*[]byte)
	defer messages.Put(m)
	c.mu.Lock()
	out := append((*m)[:0], c.pong...)
	c.pong = nil
	c.mu.Unlock()
	_, err := c.Conn.Write(appendFrame(out, op, payload, c.client))
	return err
}

// CloseWrite says that nothing more comes (RFC 6455, 7.1.2).
func (c *webSocket) CloseWrite() error {
	return c.send(opClose, binary.BigEndian.AppendUint16(nil, 1000))
}

// Close ends the connection at once. TLS's own goodbye could wait for a peer
// that does not read.
func (c *webSocket) Close() error { return c.NetConn().Close() }

var _ net.Conn = (*webSocket)(nil)

// newKey returns a key with which a client asks for a WebSocket.
func newKey() string {
	b := make([]byte, 16)
	rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

// acceptKey is the server's answer to a key.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// asksForWebSocket returns the key of a request for a WebSocket (RFC 6455,
// 4.2.1).
func asksForWebSocket(r *http.Request) (key string, ok bool) {
	key = r.Header.Get("Sec-WebSocket-Key")
	b, err := base64.StdEncoding.DecodeString(key)
	ok = err == nil && len(b) == 16 && r.Method == http.MethodGet && r.ProtoAtLeast(1, 1) &&
		r.Header.Get("Sec-WebSocket-Version") == "13" && hasToken(r.Header, "Connection", "upgrade") && hasToken(r.Header, "Upgrade", "websocket")
	return key, ok
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
