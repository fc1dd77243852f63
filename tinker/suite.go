package tinker

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hpke"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
)

// A SuiteID names the algorithms of a handshake and its session.
type SuiteID uint16

// The suites of this build. See docs/spec/tinker.md#suites.
const (
	// TK1 is X-Wing (ML-KEM-768 with X25519), SHA-256 and AES-256-GCM.
	TK1 SuiteID = 1 + iota
	// TK2 is X-Wing, SHA-256 and ChaCha20-Poly1305, for machines without AES
	// in hardware.
	TK2
	// TK3 is ML-KEM-1024 with P-384, SHA-384 and AES-256-GCM: it shares no
	// curve, hash or parameters with the other two, to be there when one of
	// those falls.
	TK3
)

// ErrUnknownSuite means that this build does not have the suite.
var ErrUnknownSuite = errors.New("unknown suite")

// Suites lists the suites that this build has.
func Suites() []SuiteID { return []SuiteID{TK1, TK2, TK3} }

// ParseSuite reads a suite's name.
func ParseSuite(name string) (SuiteID, error) {
	for _, id := range Suites() {
		if id.String() == name {
			return id, nil
		}
	}
	return 0, fmt.Errorf("%w %q: this build has %v", ErrUnknownSuite, name, Suites())
}

// String returns the suite's name, such as TK1.
func (id SuiteID) String() string { return fmt.Sprintf("TK%d", uint16(id)) }

// HelloOverhead returns how many bytes a hello is longer than its payload; 0
// for a suite that this build does not have.
func (id SuiteID) HelloOverhead() int {
	s, err := id.suite()
	if err != nil {
		return 0
	}
	return helloHeader + s.encSize + s.publicSize + tagSize
}

// ReplySize returns how many bytes a reply that accepts a hello has; 0 for a
// suite that this build does not have.
func (id SuiteID) ReplySize() int {
	s, err := id.suite()
	if err != nil {
		return 0
	}
	return replyHeader + s.encSize + tagSize
}

// A suite is the algorithms behind a SuiteID.
type suite struct {
	id         SuiteID
	kem        hpke.KEM
	kdf        hpke.KDF
	aead       hpke.AEAD
	hash       func() hash.Hash // the KDF's
	publicSize int              // bytes of a public KEM key
	encSize    int              // bytes of an encapsulated secret
	newAEAD    func(key []byte) (cipher.AEAD, error)
}

func (id SuiteID) suite() (*suite, error) {
	switch id {
	case TK1:
		return &suite{
			id:  TK1,
			kem: hpke.MLKEM768X25519(), kdf: hpke.HKDFSHA256(), aead: hpke.AES256GCM(),
			hash: sha256.New, publicSize: xwingPublicSize, encSize: xwingEncSize, newAEAD: newAES256GCM,
		}, nil
	case TK2:
		return &suite{
			id:  TK2,
			kem: hpke.MLKEM768X25519(), kdf: hpke.HKDFSHA256(), aead: hpke.ChaCha20Poly1305(),
			hash: sha256.New, publicSize: xwingPublicSize, encSize: xwingEncSize, newAEAD: chacha20poly1305.New,
		}, nil
	case TK3:
		return &suite{
			id:  TK3,
			kem: hpke.MLKEM1024P384(), kdf: hpke.HKDFSHA384(), aead: hpke.AES256GCM(),
			hash: sha512.New384, publicSize: hybrid384Size, encSize: hybrid384Size, newAEAD: newAES256GCM,
		}, nil
	default:
		return nil, fmt.Errorf("%w %d", ErrUnknownSuite, uint16(id))
	}
}

const (
	// X-Wing (draft-connolly-cfrg-xwing-kem, section 5).
	xwingPublicSize = 1184 + 32
	xwingEncSize    = 1088 + 32
	// MLKEM1024-P384 (draft-ietf-hpke-pq): key and ciphertext have one size.
	hybrid384Size = 1568 + 97
)

func newAES256GCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// secretSize is how many bytes the suite's secrets have: those of its hash.
func (s *suite) secretSize() int { return s.hash().Size() }

// digest is the first 32 bytes of the suite's hash over label and parts, each
// part with its length.
func (s *suite) digest(label string, parts ...[]byte) [32]byte {
	h := s.hash()
	h.Write([]byte(label))
	h.Write([]byte{0})
	for _, part := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return [32]byte(h.Sum(nil)[:32])
}
