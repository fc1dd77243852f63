package token

import (
	"crypto/rand"
	"fmt"
	"io"

	"github.com/cloudflare/circl/blindsign/blindrsa"
)

// A Pending is a token that waits for the issuer's signature. It has the
// secret that hides the token from the issuer, so it must not be shown to
// anybody.
type Pending struct {
	key    *IssuerKey
	token  Token // without its authenticator
	client blindrsa.Client
	state  blindrsa.State
}

// Blind makes a token for a challenge, with a random nonce, and the request
// for its signature. The request tells the issuer nothing about the token:
// whatever the issuer signs looks to it like a random number.
func (k *IssuerKey) Blind(c Challenge) (*Pending, Request, error) {
	return k.blind(rand.Reader, c)
}

// blind reads from random, in this order: the nonce, the salt of the signature
// and the blinding factor.
func (k *IssuerKey) blind(random io.Reader, c Challenge) (*Pending, Request, error) {
	p := &Pending{key: k, token: Token{KeyID: k.id}}
	var err error
	if p.token.ChallengeDigest, err = c.digest(); err != nil {
		return nil, Request{}, err
	}
	if _, err := io.ReadFull(random, p.token.Nonce[:]); err != nil {
		return nil, Request{}, fmt.Errorf("make a token's nonce: %w", err)
	}
	// Deterministic: the nonce makes the message unpredictable already, so
	// that no random prefix is needed (RFC 9578, section 6).
	if p.client, err = blindrsa.NewClient(blindrsa.SHA384PSSDeterministic, k.public); err != nil {
		return nil, Request{}, fmt.Errorf("blind a token: %w", err)
	}
	blinded, state, err := p.client.Blind(random, p.token.input())
	if err != nil {
		return nil, Request{}, fmt.Errorf("blind a token: %w", err)
	}
	p.state = state
	return p, Request{KeyID: k.truncatedID(), Blinded: [modulusSize]byte(blinded)}, nil
}

// Finish makes the token of an issuer's response. It returns ErrSignature when
// the response is not the signature of the token; the issuer may be asked
// again with the same request.
func (p *Pending) Finish(r Response) (Token, error) {
	signature, err := p.client.Finalize(p.state, r[:])
	if err != nil {
		return Token{}, ErrSignature
	}
	t := p.token
	t.Authenticator = [modulusSize]byte(signature)
	return t, nil
}
