package token

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/cloudflare/circl/blindsign/blindrsa"
)

// An Issuer signs tokens that it cannot see. Whether the client paid is for
// the caller to know; an [Exchange] takes credits for it.
type Issuer struct {
	key    *IssuerKey
	signer blindrsa.Signer
}

// NewIssuer makes an issuer of a private key with 2048 bits and the exponent
// 65537, such as rsa.GenerateKey(rand.Reader, 2048) makes. The key must have no
// other use (RFC 9578, section 6.5). A request names its key by the last byte of
// the ID, so an issuer with many keys makes a new one until that byte differs.
func NewIssuer(private *rsa.PrivateKey) (*Issuer, error) {
	key, err := newIssuerKey(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	if err := private.Validate(); err != nil {
		return nil, fmt.Errorf("issuer key: %w", err)
	}
	return &Issuer{key: key, signer: blindrsa.NewSigner(private)}, nil
}

// Key returns the public key.
func (i *Issuer) Key() *IssuerKey { return i.key }

// check refuses what cannot be a request for this issuer's key.
func (i *Issuer) check(r Request) error {
	if r.KeyID != i.key.truncatedID() {
		return ErrWrongKey
	}
	if bytes.Compare(r.Blinded[:], i.key.public.N.Bytes()) >= 0 {
		return errors.New("token request: the blinded message is larger than the key's modulus")
	}
	return nil
}

// Sign signs a request. The same request always gets the same signature.
// ErrWrongKey means that the request is for another key.
func (i *Issuer) Sign(r Request) (Response, error) {
	if err := i.check(r); err != nil {
		return Response{}, err
	}
	signature, err := i.signer.BlindSign(r.Blinded[:])
	if err != nil {
		return Response{}, fmt.Errorf("sign a token: %w", err)
	}
	return Response(signature), nil
}
