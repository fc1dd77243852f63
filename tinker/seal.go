package tinker

import "time"

// A Sealer is the sending end of one direction.
type Sealer struct {
	chain
	since time.Time // when this key was first there
}

func newSealer(s *suite, secret []byte, th [32]byte) (*Sealer, error) {
	sealer := &Sealer{since: time.Now()}
	if err := sealer.init(s, secret, th); err != nil {
		return nil, err
	}
	return sealer, nil
}

// Seal encrypts a message in place. buf is one byte that Seal sets, the
// content, and 16 bytes of room; all of it becomes ciphertext. typ is 0 to
// 127. It panics when buf has no room for that, or typ is above 127.
func (s *Sealer) Seal(buf []byte, typ byte) {
	if typ&typeStep != 0 {
		panic("tinker: message type above 127")
	}
	if time.Since(s.since) >= stepTime {
		typ |= typeStep
	}
	buf[0] = typ
	s.aead.Seal(buf[:0], s.next(), buf[:len(buf)-tagSize], nil)
	if s.used(len(buf), typ) {
		s.since = time.Now()
	}
}

// SealTo appends the sealed content to dst and returns the result. The two
// must not overlap.
func (s *Sealer) SealTo(dst, content []byte, typ byte) []byte {
	start := len(dst)
	dst = append(dst, 0)
	dst = append(dst, content...)
	dst = append(dst, make([]byte, tagSize)...)
	s.Seal(dst[start:], typ)
	return dst
}

// An Opener is the receiving end of one direction. The first message that does
// not open ends it: from then on every call returns [ErrDecrypt].
type Opener struct {
	chain
	broken bool
}

func newOpener(s *suite, secret []byte, th [32]byte) (*Opener, error) {
	opener := &Opener{}
	if err := opener.init(s, secret, th); err != nil {
		return nil, err
	}
	return opener, nil
}

// Open decrypts a message in place and returns its type and its content, which
// lies in buf. After an error, what buf holds is undefined.
func (o *Opener) Open(buf []byte) (typ byte, content []byte, err error) {
	return o.OpenTo(buf[:0], buf)
}

// OpenTo decrypts buf to dst[:0] and returns the type and the content, which
// lies in dst if that has len(buf)-16 bytes of capacity. Apart from dst being
// buf[:0], the two must not overlap.
func (o *Opener) OpenTo(dst, buf []byte) (typ byte, content []byte, err error) {
	if o.broken || len(buf) < LayerOverhead {
		o.broken = true
		return 0, nil, ErrDecrypt
	}
	plain, err := o.aead.Open(dst[:0], o.next(), buf, nil)
	if err != nil {
		o.broken = true
		return 0, nil, ErrDecrypt
	}
	typ = plain[0]
	o.used(len(buf), typ)
	return typ &^ typeStep, plain[1:], nil
}
