package tinker

import (
	"errors"
	"time"
)

// ErrExpired means that a session has come to one of its limits.
var ErrExpired = errors.New("session has come to its limit")

// Limits bound what a session protects. At those of time both directions end,
// each when its end notices; at RootBytes the direction that has come to it.
type Limits struct {
	// Life is how long the session may be used in all.
	Life time.Duration
	// Root is how long it may be used without a step of the ratchet.
	Root time.Duration
	// RootBytes is how much may be sealed in one direction without a step of
	// the ratchet.
	RootBytes uint64
}

// DefaultLimits are those of a session that was given no others: an hour, ten
// minutes without a step, 4 GiB without a step.
func DefaultLimits() Limits {
	return Limits{Life: time.Hour, Root: 10 * time.Minute, RootBytes: 4 << 30}
}

// A direction is what both its ends have.
type direction struct {
	*chain
	limits Limits
	begun  time.Time // the session
	rooted time.Time // the chain
}

func directionOf(c *chain) direction {
	now := time.Now()
	return direction{chain: c, limits: DefaultLimits(), begun: now, rooted: now}
}

// expired says whether another message of size bytes is too much.
func (d *direction) expired(now time.Time, size int) bool {
	return now.Sub(d.begun) >= d.limits.Life || now.Sub(d.rooted) >= d.limits.Root ||
		d.bytes+uint64(size) > d.limits.RootBytes
}

// replace goes on with the chain of the next root.
func (d *direction) replace(c *chain) {
	d.erase()
	d.chain, d.rooted = c, time.Now()
}

// A Sealer is the sending end of one direction.
type Sealer struct {
	direction
	since time.Time // when this message key was first there
}

func newSealer(s *suite, secret []byte, th [32]byte) (*Sealer, error) {
	c, err := newChain(s, secret, th)
	if err != nil {
		return nil, err
	}
	return sealerOf(c), nil
}

func sealerOf(c *chain) *Sealer {
	d := directionOf(c)
	return &Sealer{direction: d, since: d.begun}
}

// Seal encrypts a message in place. buf is one byte that Seal sets, the
// content, and 16 bytes of room; all of it becomes ciphertext. typ is 0 to
// [MaxType]. The only errors are [ErrExpired], and [ErrClosed] after Close; then
// nothing was sealed. Seal panics when buf has no room for that, or typ is above
// MaxType.
func (s *Sealer) Seal(buf []byte, typ byte) error { return s.seal(buf, typ, 0) }

// SealStep is Seal for the message that completes a step of the ratchet: the
// responder's holds the step's message, the initiator's may hold anything.
// What is sealed after it has the protection of the new root. A step is sealed
// once; after an error it is still under way. A step of another session is
// refused with [ErrOtherStep].
func (s *Sealer) SealStep(buf []byte, typ byte, step *Step) error {
	if step.by != s {
		return ErrOtherStep
	}
	if step.sealed.Load() {
		panic("tinker: a step of the ratchet was sealed before")
	}
	if err := s.seal(buf, typ, typeRatchet); err != nil {
		return err
	}
	s.replace(step.send)
	s.since = s.rooted
	step.sealed.Store(true)
	return nil
}

func (s *Sealer) seal(buf []byte, typ, flags byte) error {
	checkType(typ)
	if len(buf) < LayerOverhead {
		panic("tinker: no room for a type and a tag")
	}
	if s.aead == nil {
		return ErrClosed
	}
	now := time.Now()
	if s.expired(now, len(buf)) {
		return ErrExpired
	}
	if now.Sub(s.since) >= stepTime {
		flags |= typeStep
	}
	buf[0] = typ | flags
	s.aead.Seal(buf[:0], s.next(), buf[:len(buf)-tagSize], nil)
	if s.used(len(buf), flags) {
		s.since = now
	}
	return nil
}

// Close forgets the keys. Nobody may use the sealer meanwhile.
func (s *Sealer) Close() { s.erase() }

func checkType(typ byte) {
	if typ > MaxType {
		panic("tinker: message type above 63")
	}
}

// SealTo appends the sealed content to dst and returns the result. The two
// must not overlap. On an error the result is nil.
func (s *Sealer) SealTo(dst, content []byte, typ byte) ([]byte, error) {
	return s.appendSealed(dst, content, func(buf []byte) error { return s.Seal(buf, typ) })
}

// SealStepTo is [Sealer.SealStep] as SealTo is Seal.
func (s *Sealer) SealStepTo(dst, content []byte, typ byte, step *Step) ([]byte, error) {
	return s.appendSealed(dst, content, func(buf []byte) error { return s.SealStep(buf, typ, step) })
}

func (s *Sealer) appendSealed(dst, content []byte, seal func([]byte) error) ([]byte, error) {
	start := len(dst)
	dst = append(dst, 0)
	dst = append(dst, content...)
	dst = append(dst, make([]byte, tagSize)...)
	if err := seal(dst[start:]); err != nil {
		return nil, err
	}
	return dst, nil
}

// An Opener is the receiving end of one direction. The first message that does
// not open ends it: from then on every call returns [ErrDecrypt], or
// [ErrExpired] if it came to a limit, or [ErrClosed] after Close.
type Opener struct {
	direction
	ahead *chain // of the next root, where the sender may begin it
	held  bool   // the sender has begun it, and it is not there yet
	err   error  // why the direction ended
}

func newOpener(s *suite, secret []byte, th [32]byte) (*Opener, error) {
	c, err := newChain(s, secret, th)
	if err != nil {
		return nil, err
	}
	return openerOf(c), nil
}

func openerOf(c *chain) *Opener { return &Opener{direction: directionOf(c)} }

// Open decrypts a message in place and returns its type and its content, which
// lies in buf. After an error, what buf holds is undefined.
func (o *Opener) Open(buf []byte) (typ byte, content []byte, err error) {
	return o.OpenTo(buf[:0], buf)
}

// OpenTo decrypts buf to dst[:0] and returns the type and the content, which
// lies in dst if that has len(buf)-16 bytes of capacity. Apart from dst being
// buf[:0], the two must not overlap.
func (o *Opener) OpenTo(dst, buf []byte) (typ byte, content []byte, err error) {
	plain, err := o.open(dst, buf)
	if err != nil {
		return 0, nil, err
	}
	return plain[0] & MaxType, plain[1:], nil
}

// open returns the message with its type and flags, which it has obeyed.
func (o *Opener) open(dst, buf []byte) ([]byte, error) {
	if o.err != nil {
		return nil, o.err
	}
	if o.held || len(buf) < LayerOverhead {
		return nil, o.end(ErrDecrypt)
	}
	if o.expired(time.Now(), len(buf)) {
		return nil, o.end(ErrExpired)
	}
	plain, err := o.aead.Open(dst[:0], o.next(), buf, nil)
	if err != nil {
		return nil, o.end(ErrDecrypt)
	}
	o.used(len(buf), plain[0])
	if plain[0]&typeRatchet != 0 {
		o.ratchet()
	}
	return plain, nil
}

// ratchet goes on with the next root's chain, or waits for it.
func (o *Opener) ratchet() {
	if o.ahead == nil {
		o.held = true
		return
	}
	o.replace(o.ahead)
	o.ahead = nil
}

// Close forgets the keys. Nobody may use the opener meanwhile.
func (o *Opener) Close() {
	if o.err == nil {
		o.end(ErrClosed) //nolint:errcheck // it is the one given
	}
	if o.ahead != nil {
		o.ahead.erase()
		o.ahead = nil
	}
}

func (o *Opener) end(err error) error {
	o.err = err
	o.erase()
	return err
}
