//go:build linux || darwin || freebsd

package link

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// A socket can be written to without waiting for room.
type socket struct {
	raw     syscall.RawConn
	control func(fd uintptr) // made once: it is called for each record
	buf     []byte
	n       int
	err     error
}

// socketOf returns the connection's socket; nil if it is not one alone.
func socketOf(conn net.Conn) *socket {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.control = func(fd uintptr) {
		for {
			s.n, s.err = unix.Write(int(fd), s.buf)
			if s.err != unix.EINTR {
				return
			}
		}
	}
	return s
}

// write returns how much of b there was room for.
func (s *socket) write(b []byte) (int, error) {
	s.buf = b
	if err := s.raw.Control(s.control); err != nil {
		return 0, err
	}
	if s.err == unix.EAGAIN {
		return 0, nil
	}
	return max(s.n, 0), s.err
}
