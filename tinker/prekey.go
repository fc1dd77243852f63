package tinker

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// A PrekeyID names a prekey: the first 16 bytes of a hash over suite and key.
type PrekeyID [16]byte

// A Prekey is the public half of a responder's short-lived KEM key. The times
// are seconds since 1970; the slot is [NotBefore, NotAfter).
type Prekey struct {
	Suite     SuiteID `cbor:"1,keyasint"`
	Public    []byte  `cbor:"2,keyasint"`
	NotBefore int64   `cbor:"3,keyasint"`
	NotAfter  int64   `cbor:"4,keyasint"`
}

// Errors of a prekey.
var (
	ErrPrekeyExpired = errors.New("prekey is outside its slot")
	ErrPrekeyInvalid = errors.New("prekey is malformed")
)

// ID returns the prekey's name.
func (p Prekey) ID() PrekeyID {
	h := sha256.New()
	h.Write([]byte("tinker prekey v1\x00"))
	h.Write(binary.BigEndian.AppendUint16(nil, uint16(p.Suite)))
	h.Write(p.Public)
	return PrekeyID(h.Sum(nil)[:16])
}

// Check returns nil if this build has the suite, the key has its size, and
// now is inside the slot. The errors wrap [ErrUnknownSuite],
// [ErrPrekeyInvalid] and [ErrPrekeyExpired].
func (p Prekey) Check(now time.Time) error {
	s, err := p.Suite.suite()
	if err != nil {
		return err
	}
	if len(p.Public) != s.publicSize {
		return fmt.Errorf("%w: %d bytes for %v, want %d", ErrPrekeyInvalid, len(p.Public), p.Suite, s.publicSize)
	}
	if p.NotBefore >= p.NotAfter {
		return fmt.Errorf("%w: its slot ends before it begins", ErrPrekeyInvalid)
	}
	if t := now.Unix(); t < p.NotBefore || t >= p.NotAfter {
		return fmt.Errorf("%w: it is %s, the slot is %s to %s", ErrPrekeyExpired, stamp(t), stamp(p.NotBefore), stamp(p.NotAfter))
	}
	return nil
}

func stamp(t int64) string { return time.Unix(t, 0).UTC().Format(time.RFC3339) }
