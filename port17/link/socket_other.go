//go:build !(linux || darwin || freebsd)

package link

import (
	"errors"
	"net"
)

// A socket would be one that can be written to without waiting for room.
type socket struct{}

func socketOf(net.Conn) *socket { return nil }

func (*socket) write([]byte) (int, error) { return 0, errors.ErrUnsupported }
