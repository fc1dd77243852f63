//go:build !(linux || darwin || freebsd)

package stream

import (
	"errors"
	"syscall"
)

func (s *Stream) readFromConn(syscall.Conn) (int64, error) { return 0, errors.ErrUnsupported }
