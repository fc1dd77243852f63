package token

import (
	"context"
	"crypto/sha256"
	"errors"
)

// An Exchange takes credits and signs spend tokens in their place, one for one.
type Exchange struct {
	name    string
	credits *IssuerKey
	spends  *Issuer
	spent   *Spent
}

// NewExchange makes an exchange that takes the credits of the named issuer,
// signed with one key, and signs spend tokens with another. With one key for
// both, whoever buys a credit could have a spend token of any node and epoch
// signed instead, or have a credit exchanged for a younger one. The spent set
// is for credits alone.
func NewExchange(name string, credits *IssuerKey, spends *Issuer, spent *Spent) (*Exchange, error) {
	if err := CreditChallenge(name, 0).check(); err != nil {
		return nil, err
	}
	if credits.id == spends.key.id {
		return nil, errors.New("credits and spend tokens have the same issuer key: make one for each, since an issuer cannot see what it signs")
	}
	return &Exchange{name: name, credits: credits, spends: spends, spent: spent}, nil
}

// Exchange takes a credit of one of the epochs given and signs the request. A
// request that cannot be signed, and a credit that does not verify, are refused
// before the credit is spent. The credit is durably spent before anything is
// signed.
//
// When the response was lost, the client may send the same credit with the same
// request again, and gets the same response. With another request the credit is
// refused with ErrSpent.
func (x *Exchange) Exchange(ctx context.Context, credit Token, request Request, epochs ...uint64) (Response, error) {
	if err := x.spends.check(request); err != nil {
		return Response{}, err
	}
	epoch, err := x.verify(credit, epochs)
	if err != nil {
		return Response{}, err
	}
	key, receipt := exchangeKeys(credit, request)
	err = x.spent.spend(ctx, epoch, key, receipt)
	if errors.Is(err, ErrSpent) {
		err = x.spent.confirm(ctx, epoch, receipt)
	}
	if err != nil {
		return Response{}, err
	}
	return x.spends.Sign(request)
}

// verify returns the epoch that a credit is of.
func (x *Exchange) verify(credit Token, epochs []uint64) (uint64, error) {
	for _, e := range epochs {
		err := x.credits.Verify(credit, CreditChallenge(x.name, e))
		if !errors.Is(err, ErrWrongChallenge) {
			return e, err
		}
	}
	return 0, ErrWrongChallenge
}

// exchangeKeys returns what is noted of a credit: that it is spent, and for
// which request. Both are hashes with a label, so that no client can choose the
// nonce of one credit to be the receipt of another.
func exchangeKeys(credit Token, request Request) (key, receipt [32]byte) {
	key = sha256.Sum256(append([]byte("tinker token credit 1\x00"), credit.Nonce[:]...))
	b := append([]byte("tinker token receipt 1\x00"), credit.Nonce[:]...)
	receipt = sha256.Sum256(append(b, request.Encode()...))
	return key, receipt
}
