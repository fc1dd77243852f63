//go:build linux || darwin || freebsd

package stream

import (
	"errors"
	"io"
	"syscall"

	"golang.org/x/sys/unix"

	"safing/port17/cell"
)

// readFromConn reads from a socket straight into cells. While there is nothing
// to read it holds no memory, so that idle streams are cheap.
func (s *Stream) readFromConn(c syscall.Conn) (int64, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, errors.ErrUnsupported
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	p := &pump{s: s}
	step := p.step
	for {
		err := raw.Read(step)
		if p.err == nil {
			p.err = err
		}
		if p.err == io.EOF {
			return p.total, nil
		}
		if p.err != nil {
			return p.total, p.err
		}
		if p.full {
			p.full = false
			if err := s.awaitRoom(); err != nil {
				return p.total, err
			}
		}
	}
}

// A pump is the state of one readFromConn.
type pump struct {
	s     *Stream
	total int64
	full  bool // there is no room to send
	err   error
}

// A vector is the cells that a pump reads into at once, and their places.
type vector struct {
	bufs [batch]*cell.Buf
	iov  [batch][]byte
}

// step reads and sends once. It returns false to wait for the socket.
func (p *pump) step(fd uintptr) (done bool) {
	s := p.s
	cells, room, err := s.mux.reserve(s, batch*s.mux.data)
	if err != nil || cells == 0 {
		p.err, p.full = err, err == nil
		return true
	}
	v, ok := s.mux.vectors.Get().(*vector)
	if !ok {
		v = new(vector)
	}
	defer s.mux.vectors.Put(v)
	left := room
	for i := range cells {
		v.bufs[i] = s.mux.pool.Get()
		place := s.mux.place(v.bufs[i])
		v.iov[i] = place[:min(len(place), left)]
		left -= len(v.iov[i])
	}
	n, err := readv(int(fd), v.iov[:cells])
	if sendErr := s.sendFilled(v.bufs[:cells], max(n, 0), room); sendErr != nil {
		p.err = sendErr
		return true
	}
	switch {
	case err == unix.EAGAIN:
		return false
	case err != nil:
		p.err = err
	case n == 0:
		p.err = io.EOF
	}
	p.total += int64(max(n, 0))
	return true
}

func readv(fd int, iov [][]byte) (int, error) {
	for {
		n, err := unix.Readv(fd, iov)
		if err != unix.EINTR {
			return n, err
		}
	}
}
