package tinker

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hpke"
	"errors"
	"fmt"
)

// A SuiteID names the algorithms of a handshake and its session.
type SuiteID uint16

// TK1 is X-Wing (ML-KEM-768 with X25519), HKDF-SHA256 and AES-256-GCM.
const TK1 SuiteID = 1

// ErrUnknownSuite means that this build does not have the suite.
var ErrUnknownSuite = errors.New("unknown suite")

// Suites lists the suites that this build has.
func Suites() []SuiteID { return []SuiteID{TK1} }

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

// A suite is the algorithms behind a SuiteID. The hash is that of the KDF.
type suite struct {
	id         SuiteID
	kem        hpke.KEM
	kdf        hpke.KDF
	aead       hpke.AEAD
	publicSize int // bytes of a public KEM key
	encSize    int // bytes of an encapsulated secret
	newAEAD    func(key []byte) (cipher.AEAD, error)
}

func (id SuiteID) suite() (*suite, error) {
	switch id {
	case TK1:
		return &suite{
			id:         TK1,
			kem:        hpke.MLKEM768X25519(),
			kdf:        hpke.HKDFSHA256(),
			aead:       hpke.AES256GCM(),
			publicSize: xwingPublicSize,
			encSize:    xwingEncSize,
			newAEAD:    newAES256GCM,
		}, nil
	default:
		return nil, fmt.Errorf("%w %d", ErrUnknownSuite, uint16(id))
	}
}

// Sizes of X-Wing (draft-connolly-cfrg-xwing-kem, section 5).
const (
	xwingPublicSize = 1184 + 32
	xwingEncSize    = 1088 + 32
)

func newAES256GCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
