package token

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// tokenType is Blind RSA (2048-bit) in the registry of RFC 9578, section 8.2.2.
const tokenType = 2

// Limits of a challenge, in bytes. RFC 9577 allows 65535 for both names.
const (
	maxIssuerName = 255
	maxOriginInfo = 2047
	contextSize   = 32
)

// A Challenge says what a token is for: RFC 9577, section 2.1.
//
//	struct {
//	    uint16_t token_type = 2;
//	    opaque issuer_name<1..2^16-1>;
//	    opaque redemption_context<0..32>;   // 0 or 32 bytes
//	    opaque origin_info<0..2^16-1>;
//	} TokenChallenge;
//
// A token has the hash of its challenge, so both sides must know the challenge
// already; it does not travel with the token.
type Challenge struct {
	Issuer  string // name of the issuer, 1 to 255 printable ASCII characters
	Context []byte // redemption context, 0 or 32 bytes
	Origin  string // origins that take the token, up to 2047 printable ASCII characters
}

// CreditChallenge is the challenge of a credit: an issuer and an epoch.
func CreditChallenge(issuer string, epoch uint64) Challenge {
	return Challenge{Issuer: issuer, Context: epochContext(epoch)}
}

// SpendChallenge is the challenge of a token that one node takes in one epoch.
// The node's identity is the origin, in base32 so that it fits a DNS label.
func SpendChallenge(issuer string, node [32]byte, epoch uint64) Challenge {
	return Challenge{Issuer: issuer, Context: epochContext(epoch), Origin: nodeName.EncodeToString(node[:])}
}

var nodeName = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// epochContext is the epoch as a big-endian number of 32 bytes.
func epochContext(epoch uint64) []byte {
	var context [contextSize]byte
	binary.BigEndian.PutUint64(context[contextSize-8:], epoch)
	return context[:]
}

func (c Challenge) check() error {
	switch {
	case c.Issuer == "":
		return errors.New("token challenge without an issuer name")
	case len(c.Issuer) > maxIssuerName:
		return fmt.Errorf("token challenge: the issuer name has %d bytes, more than %d", len(c.Issuer), maxIssuerName)
	case len(c.Context) != 0 && len(c.Context) != contextSize:
		return fmt.Errorf("token challenge: the redemption context has %d bytes, it needs 0 or %d", len(c.Context), contextSize)
	case len(c.Origin) > maxOriginInfo:
		return fmt.Errorf("token challenge: the origin info has %d bytes, more than %d", len(c.Origin), maxOriginInfo)
	case !printable(c.Issuer):
		return errors.New("token challenge: the issuer name has other than printable ASCII characters")
	case !printable(c.Origin):
		return errors.New("token challenge: the origin info has other than printable ASCII characters")
	}
	return nil
}

// printable reports whether a name is of ASCII characters that are seen.
func printable(name string) bool {
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return true
}

// Encode returns the TokenChallenge.
func (c Challenge) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 2+2+len(c.Issuer)+1+len(c.Context)+2+len(c.Origin)))
	b.AddUint16(tokenType)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(c.Issuer)) })
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(c.Context) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(c.Origin)) })
	return b.Bytes()
}

// ParseChallenge reads a TokenChallenge.
func ParseChallenge(encoded []byte) (Challenge, error) {
	in := cryptobyte.String(encoded)
	var typ uint16
	var issuer, context, origin cryptobyte.String
	if !in.ReadUint16(&typ) ||
		!in.ReadUint16LengthPrefixed(&issuer) ||
		!in.ReadUint8LengthPrefixed(&context) ||
		!in.ReadUint16LengthPrefixed(&origin) ||
		!in.Empty() {
		return Challenge{}, fmt.Errorf("token challenge of %d bytes is cut or has more than it should", len(encoded))
	}
	if typ != tokenType {
		return Challenge{}, fmt.Errorf("token challenge of type %d, want %d", typ, tokenType)
	}
	c := Challenge{Issuer: string(issuer), Origin: string(origin)}
	if len(context) > 0 {
		c.Context = context
	}
	return c, c.check()
}

// digest returns the challenge_digest that a token has.
func (c Challenge) digest() ([32]byte, error) {
	encoded, err := c.Encode()
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(encoded), nil
}
