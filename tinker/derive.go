package tinker

import (
	"crypto/hkdf"
	"encoding/binary"
)

// An exporter is the export interface of an HPKE context.
type exporter func(context string, length int) ([]byte, error)

// firstKeys come from the hello alone.
type firstKeys struct {
	th          [32]byte
	early, root []byte
}

func deriveFirst(s *suite, export exporter, info, hello []byte) (*firstKeys, error) {
	k := &firstKeys{th: s.digest("tinker transcript hello v1", info, hello)}
	secret, err := export("tinker early v1", s.secretSize())
	if err != nil {
		return nil, err
	}
	if k.early, err = s.expand(secret, "tinker early chain v1", k.th, s.secretSize()); err != nil {
		return nil, err
	}
	k.root, err = export("tinker root v1", s.secretSize())
	return k, err
}

func replyInfo(th [32]byte) []byte { return append([]byte("tinker reply v1\x00"), th[:]...) }

// sessionKeys come from hello and reply.
type sessionKeys struct {
	suite   *suite
	th      [32]byte
	root    []byte
	confirm []byte
}

// deriveSession takes the hello's root over.
func deriveSession(s *suite, export exporter, first *firstKeys, enc []byte) (*sessionKeys, error) {
	secret, err := export("tinker reply secret v1", s.secretSize())
	if err != nil {
		return nil, err
	}
	k := &sessionKeys{suite: s, th: s.digest("tinker transcript reply v1", first.th[:], enc)}
	if k.root, err = s.extract(secret, first.root); err != nil {
		return nil, err
	}
	k.confirm, err = s.expand(k.root, "tinker confirm v1", k.th, aeadKeySize)
	return k, err
}

// confirmation proves knowledge of the keys: the tag over the transcript under
// a key that is used for nothing else.
func (k *sessionKeys) confirmation() ([]byte, error) {
	aead, err := k.suite.newAEAD(k.confirm)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, make([]byte, aead.NonceSize()), nil, k.th[:]), nil
}

func (k *sessionKeys) verify(confirm []byte) error {
	aead, err := k.suite.newAEAD(k.confirm)
	if err != nil {
		return err
	}
	if _, err := aead.Open(nil, make([]byte, aead.NonceSize()), confirm, k.th[:]); err != nil {
		return ErrDecrypt
	}
	return nil
}

// session takes the root over.
func (k *sessionKeys) session(initiator bool) (*Session, error) {
	clear(k.confirm)
	forward, backward, next, err := chains(k.suite, k.root, k.th)
	if err != nil {
		return nil, err
	}
	s := &Session{Transcript: k.th, suite: k.suite, initiator: initiator, next: next, th: k.th}
	if initiator {
		s.Send, s.Recv = sealerOf(forward), openerOf(backward)
	} else {
		s.Send, s.Recv = sealerOf(backward), openerOf(forward)
	}
	return s, nil
}

// chains are what a root is used for, before it is forgotten: the two chains,
// from initiator to responder and back, and the secret for the next root.
func chains(s *suite, root []byte, th [32]byte) (forward, backward *chain, next []byte, err error) {
	defer clear(root)
	for _, d := range []struct {
		label string
		chain **chain
	}{
		{"tinker forward v1", &forward},
		{"tinker backward v1", &backward},
	} {
		secret, err := s.expand(root, d.label, th, s.secretSize())
		if err != nil {
			return nil, nil, nil, err
		}
		if *d.chain, err = newChain(s, secret, th); err != nil {
			return nil, nil, nil, err
		}
	}
	next, err = s.expand(root, "tinker next root v1", th, s.secretSize())
	return forward, backward, next, err
}

// extract is HKDF-Extract (RFC 5869).
func (s *suite) extract(secret, salt []byte) ([]byte, error) {
	return hkdf.Extract(s.hash, secret, salt)
}

// expand derives a key for one purpose, bound to suite and transcript
// (HKDF-Expand of RFC 5869).
func (s *suite) expand(secret []byte, label string, th [32]byte, size int) ([]byte, error) {
	return hkdf.Expand(s.hash, secret, s.purpose(label, th), size)
}

func (s *suite) purpose(label string, th [32]byte) string {
	info := append([]byte(label), 0)
	info = binary.BigEndian.AppendUint16(info, uint16(s.id))
	return string(append(info, th[:]...))
}
