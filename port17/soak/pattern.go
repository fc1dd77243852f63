package soak

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
)

// A pattern is the endless sequence of bytes that belongs to a number.
type pattern struct {
	source *rand.ChaCha8
	next   int64 // how many bytes have been taken
	buf    []byte
}

func newPattern(number uint64) *pattern {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], number)
	return &pattern{source: rand.NewChaCha8(seed)}
}

// Read implements io.Reader. It fills b.
func (p *pattern) Read(b []byte) (int, error) {
	p.next += int64(len(b))
	return p.source.Read(b)
}

// check compares b with what comes next.
func (p *pattern) check(b []byte) error {
	at := p.next
	p.buf = append(p.buf[:0], b...)
	p.Read(p.buf) //nolint:errcheck // it has none
	if bytes.Equal(p.buf, b) {
		return nil
	}
	for i := range b {
		if b[i] != p.buf[i] {
			return wrongf("byte %d is %#02x, want %#02x", at+int64(i), b[i], p.buf[i])
		}
	}
	return nil
}

// A wrong is an error that the network must not make.
type wrong string

func (w wrong) Error() string { return string(w) }

func wrongf(format string, a ...any) error { return wrong(fmt.Sprintf(format, a...)) }
