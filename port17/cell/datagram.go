package cell

import (
	"encoding/binary"
	"errors"
)

const (
	// MaxDatagram is the greatest length of a datagram: what IPv4 leaves UDP.
	MaxDatagram = 65507
	// MaxDatagramHeader is the greatest length of what stands before one.
	MaxDatagramHeader = datagramLength + MaxTarget

	datagramLength = 2
)

var errDatagram = errors.New("read datagram: malformed")

// AppendDatagramHeader appends what stands before a datagram of n bytes in a
// stream whose target is UDP. The datagram goes to t, or comes from it.
//
//	0        2
//	+--------+----------+------------+
//	| length | target … | datagram … |
//	+--------+----------+------------+
//
// See docs/spec/port17.md#datagrams.
func AppendDatagramHeader(b []byte, t Target, n int) []byte {
	return t.Append(binary.BigEndian.AppendUint16(b, uint16(n)))
}

// ParseDatagramHeader reads the header that b begins with and returns its size
// and the datagram's length. A size of 0 means that b is too short to tell.
func ParseDatagramHeader(b []byte) (t Target, length, size int, err error) {
	if len(b) < datagramLength {
		return t, 0, 0, nil
	}
	length = int(binary.BigEndian.Uint16(b))
	b = b[datagramLength:]
	n, err := targetSize(b)
	if err != nil || length > MaxDatagram || n > MaxTarget {
		return t, 0, 0, errDatagram
	}
	if n == 0 || n > len(b) {
		return t, 0, 0, nil
	}
	t, err = ParseTarget(b[:n])
	if err != nil || t.UDP || t.Directory {
		return t, 0, 0, errDatagram
	}
	return t, length, datagramLength + n, nil
}
