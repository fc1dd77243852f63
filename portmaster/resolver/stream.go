package resolver

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// readFramed reads a message with its length before it (RFC 1035 section
// 4.2.2).
func readFramed(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(r, message); err != nil {
		return nil, err
	}
	return message, nil
}

// writeFramed writes a message of at most 65,535 bytes in one piece.
func writeFramed(w io.Writer, message []byte) error {
	if len(message) > 65535 {
		return fmt.Errorf("a message of %d bytes is too long", len(message))
	}
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, len(message)+2), uint16(len(message)))
	_, err := w.Write(append(framed, message...))
	return err
}

// talk sends a question and reads the answer, until ctx ends. After an error
// the connection is of no use.
func talk(ctx context.Context, c net.Conn, question []byte) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // then it is closed
	answer, err := func() ([]byte, error) {
		if err := writeFramed(c, question); err != nil {
			return nil, err
		}
		return readFramed(c)
	}()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	return answer, err
}

const (
	idleLimit = 64              // connections to an upstream
	idleAlike = 4               // of these, over the same path
	idleTime  = 8 * time.Second // servers close after ten or more (RFC 7766 section 6.2.3)
)

// A pool keeps connections to an upstream that wait for the next question.
type pool struct {
	mu     sync.Mutex
	idle   map[string][]idleConn // by path
	count  int
	closed bool
}

type idleConn struct {
	net.Conn
	since time.Time
}

// take returns the connection that was used last, or nil.
func (p *pool) take(path string, now time.Time) net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expireLocked(now)
	waiting := p.idle[path]
	if len(waiting) == 0 {
		return nil
	}
	last := len(waiting) - 1
	p.idle[path] = waiting[:last]
	if last == 0 {
		delete(p.idle, path)
	}
	p.count--
	return waiting[last].Conn
}

// put keeps a connection for later, or closes it.
func (p *pool) put(path string, c net.Conn, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expireLocked(now)
	if p.closed || p.count >= idleLimit || len(p.idle[path]) >= idleAlike {
		c.Close()
		return
	}
	if p.idle == nil {
		p.idle = make(map[string][]idleConn)
	}
	p.idle[path] = append(p.idle[path], idleConn{c, now})
	p.count++
}

// expireLocked closes what has waited too long; the oldest stand first.
func (p *pool) expireLocked(now time.Time) {
	for path, waiting := range p.idle {
		for len(waiting) > 0 && (p.closed || now.Sub(waiting[0].since) > idleTime) {
			waiting[0].Close()
			waiting = waiting[1:]
			p.count--
		}
		if p.idle[path] = waiting; len(waiting) == 0 {
			delete(p.idle, path)
		}
	}
}

// close closes all connections, also those that come back later.
func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.expireLocked(time.Time{})
}
