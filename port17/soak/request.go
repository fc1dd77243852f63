package soak

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// A kind says what happens on a stream.
type kind byte

const (
	download kind = iota + 1 // the server sends size bytes of the pattern, and ends
	upload                   // the user does, and the server answers with a verdict
	echo                     // the server sends back what the user sends until it half-closes
	ping                     // the server sends back each message of 8 bytes
	cut                      // as download, and then the server resets
)

// A request is what a user's stream begins with:
//
//	0      1          9          17
//	+------+----------+----------+
//	| kind | number   | size     |
//	+------+----------+----------+
type request struct {
	kind   kind
	number uint64 // of the pattern
	size   int64
}

const requestSize = 17

// The server's verdict of an upload.
const (
	uploadWrong byte = iota
	uploadRight
)

func (r request) append(b []byte) []byte {
	b = append(b, byte(r.kind))
	b = binary.BigEndian.AppendUint64(b, r.number)
	return binary.BigEndian.AppendUint64(b, uint64(r.size))
}

func readRequest(r io.Reader) (request, error) {
	var b [requestSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return request{}, err
	}
	return request{kind(b[0]), binary.BigEndian.Uint64(b[1:]), int64(binary.BigEndian.Uint64(b[9:]))}, nil
}

// A wire is a connection on which nothing may take longer than patience.
type wire struct {
	*net.TCPConn
	patience time.Duration
}

func (w wire) Read(b []byte) (int, error) {
	w.SetReadDeadline(time.Now().Add(w.patience)) //nolint:errcheck // a closed connection fails below
	n, err := w.TCPConn.Read(b)
	return n, impatient(err, "read", w.patience)
}

func (w wire) Write(b []byte) (int, error) {
	w.SetWriteDeadline(time.Now().Add(w.patience)) //nolint:errcheck // as above
	n, err := w.TCPConn.Write(b)
	return n, impatient(err, "written", w.patience)
}

func impatient(err error, what string, patience time.Duration) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return wrongf("stuck: nothing could be %s for %v, and there was no error", what, patience)
	}
	return err
}

// vanish ends the connection as a program that is killed does.
func (w wire) vanish() {
	w.SetLinger(0) //nolint:errcheck // a closed connection needs none
	w.Close()
}

const block = 32 << 10

// send writes size bytes of the pattern.
func send(to io.Writer, p *pattern, size int64) error {
	b := make([]byte, min(size, block))
	for size > 0 {
		n := min(size, int64(len(b)))
		p.Read(b[:n]) //nolint:errcheck // it has none
		if _, err := to.Write(b[:n]); err != nil {
			return err
		}
		size -= n
	}
	return nil
}

// receive reads size bytes and checks them. An end before that is wrong.
func receive(from io.Reader, p *pattern, size int64) error {
	b := make([]byte, min(size, block))
	for got := int64(0); got < size; {
		n, err := from.Read(b[:min(size-got, int64(len(b)))])
		if err := p.check(b[:n]); err != nil {
			return err
		}
		if got += int64(n); got == size {
			return nil
		}
		if err == io.EOF {
			return wrongf("an end without an error after %d of %d bytes", got, size)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// end reads the end of a stream.
func end(from io.Reader) error {
	var b [1]byte
	n, err := from.Read(b[:])
	if n > 0 {
		return wrongf("more bytes than there are")
	}
	if err == io.EOF {
		return nil
	}
	return err
}
