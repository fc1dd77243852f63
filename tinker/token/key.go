package token

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"math/big"
)

// Reasons why a token is refused.
var (
	ErrWrongKey       = errors.New("the token is of another issuer key")
	ErrWrongChallenge = errors.New("the token is for another challenge: another node, epoch or issuer")
	ErrSignature      = errors.New("the token's signature does not verify")
)

// An IssuerKey is the public key of an issuer: RSA with 2048 bits and the
// exponent 65537.
type IssuerKey struct {
	public *rsa.PublicKey
	id     [32]byte
}

// A key is published as a SubjectPublicKeyInfo with the OID of RSASSA-PSS and
// these parameters (RFC 9578, section 6.5), in DER:
//
//	SEQUENCE
//	    SEQUENCE
//	        OBJECT rsassaPss
//	        SEQUENCE
//	            [0] SEQUENCE OBJECT sha384
//	            [1] SEQUENCE OBJECT mgf1, SEQUENCE OBJECT sha384
//	            [2] INTEGER 48
//	    BIT STRING
//	        SEQUENCE
//	            INTEGER modulus
//	            INTEGER 65537
//
// With the sizes fixed, only the modulus differs from key to key.
const (
	spkiStart = "\x30\x82\x01\x52\x30\x3d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x30" +
		"\xa0\x0d\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02" +
		"\xa1\x1a\x30\x18\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02" +
		"\xa2\x03\x02\x01\x30" +
		"\x03\x82\x01\x0f\x00\x30\x82\x01\x0a\x02\x82\x01\x01\x00"
	spkiEnd = "\x02\x03\x01\x00\x01"

	// IssuerKeySize is the size of an encoded key in bytes.
	IssuerKeySize = len(spkiStart) + modulusSize + len(spkiEnd)

	exponent = 65537
)

func newIssuerKey(public *rsa.PublicKey) (*IssuerKey, error) {
	if public.E != exponent {
		return nil, fmt.Errorf("issuer key with exponent %d: tokens need %d", public.E, exponent)
	}
	if bits := public.N.BitLen(); bits != 8*modulusSize {
		return nil, fmt.Errorf("issuer key of %d bits: tokens need %d", bits, 8*modulusSize)
	}
	if public.N.Bit(0) == 0 {
		return nil, errors.New("issuer key with an even modulus")
	}
	k := &IssuerKey{public: public}
	k.id = sha256.Sum256(k.Encode())
	return k, nil
}

// ParseIssuerKey reads a key that [IssuerKey.Encode] wrote. Any other encoding
// of the same key is refused, since it would have another ID.
func ParseIssuerKey(spki []byte) (*IssuerKey, error) {
	if len(spki) != IssuerKeySize {
		return nil, fmt.Errorf("issuer key has %d bytes, it needs %d", len(spki), IssuerKeySize)
	}
	modulus, end := spki[len(spkiStart):len(spkiStart)+modulusSize], spki[len(spkiStart)+modulusSize:]
	if !bytes.HasPrefix(spki, []byte(spkiStart)) || string(end) != spkiEnd {
		return nil, errors.New("issuer key is no RSASSA-PSS key with SHA-384, 2048 bits and exponent 65537")
	}
	return newIssuerKey(&rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: exponent})
}

// Encode returns the key as a SubjectPublicKeyInfo, IssuerKeySize bytes.
func (k *IssuerKey) Encode() []byte {
	b := make([]byte, IssuerKeySize)
	copy(b, spkiStart)
	k.public.N.FillBytes(b[len(spkiStart) : len(spkiStart)+modulusSize])
	copy(b[len(spkiStart)+modulusSize:], spkiEnd)
	return b
}

// ID returns the key's token_key_id, the SHA-256 of its encoding.
func (k *IssuerKey) ID() [32]byte { return k.id }

// truncatedID is the part of the ID that a request carries. It is so short
// that keys cannot tell clients apart (RFC 9578, section 6.1).
func (k *IssuerKey) truncatedID() byte { return k.id[31] }

// Verify checks that a token was signed by this key for this challenge. It
// needs nobody to ask, and does not say whether the token was spent: see
// [Spent]. Its errors are ErrWrongKey, ErrWrongChallenge and ErrSignature,
// besides those of a challenge that cannot be encoded.
func (k *IssuerKey) Verify(t Token, c Challenge) error {
	if t.KeyID != k.id {
		return ErrWrongKey
	}
	digest, err := c.digest()
	if err != nil {
		return err
	}
	if t.ChallengeDigest != digest {
		return ErrWrongChallenge
	}
	return verify(k.public, t.input(), t.Authenticator[:])
}

// verify is RSASSA-PSS-VERIFY with SHA-384 and a salt of 48 bytes (RFC 8017,
// section 8.1.2; RFC 9578, section 6.4).
func verify(public *rsa.PublicKey, input, signature []byte) error {
	hash := sha512.Sum384(input)
	if rsa.VerifyPSS(public, crypto.SHA384, hash[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) != nil {
		return ErrSignature
	}
	return nil
}
