package token_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"safing/tinker/token"
)

// A payment becomes a credit, the credit a spend token, and a node takes it
// once.
func Example() {
	dir, err := os.MkdirTemp("", "token")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // an example
	ctx := context.Background()
	const name, creditEpoch, spendEpoch = "issuer.example", 12, 3456
	node := [32]byte{1, 2, 3}

	// The issuer has a key for each tier, and publishes their public halves.
	credits, spends := newIssuer(), newIssuer()
	seen, err := token.OpenSpent(filepath.Join(dir, "credits"), token.SpentConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer seen.Close() //nolint:errcheck // an example
	exchange, err := token.NewExchange(name, credits.Key(), spends, seen)
	if err != nil {
		log.Fatal(err)
	}

	// The client pays, and gets a credit.
	pending, request, err := credits.Key().Blind(token.CreditChallenge(name, creditEpoch))
	if err != nil {
		log.Fatal(err)
	}
	response, err := credits.Sign(request)
	if err != nil {
		log.Fatal(err)
	}
	credit, err := pending.Finish(response)
	if err != nil {
		log.Fatal(err)
	}

	// Later, and anonymously, it exchanges the credit for a token of one node.
	challenge := token.SpendChallenge(name, node, spendEpoch)
	pending, request, err = spends.Key().Blind(challenge)
	if err != nil {
		log.Fatal(err)
	}
	response, err = exchange.Exchange(ctx, credit, request, creditEpoch-1, creditEpoch)
	if err != nil {
		log.Fatal(err)
	}
	spend, err := pending.Finish(response)
	if err != nil {
		log.Fatal(err)
	}

	// The node takes the token once.
	spent, err := token.OpenSpent(filepath.Join(dir, "node"), token.SpentConfig{})
	if err != nil {
		log.Fatal(err)
	}
	defer spent.Close() //nolint:errcheck // an example
	for range 2 {
		err := spends.Key().Verify(spend, challenge)
		if err == nil {
			err = spent.Spend(ctx, spendEpoch, spend.Nonce)
		}
		switch {
		case errors.Is(err, token.ErrSpent):
			fmt.Println("refused:", err)
		case err != nil:
			log.Fatal(err)
		default:
			fmt.Println("taken")
		}
	}
	// Output:
	// taken
	// refused: the token was spent before
}

func newIssuer() *token.Issuer {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		log.Fatal(err)
	}
	issuer, err := token.NewIssuer(private)
	if err != nil {
		log.Fatal(err)
	}
	return issuer
}
