package token

import (
	"crypto/rand"
	"crypto/rsa"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// The test binary is also the process that the crash test kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(spenderEnv); dir != "" {
		spendUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

const issuerName = "issuer.example"

var node = [32]byte{0: 1, 31: 0xff}

// creditIssuer and spendIssuer are made once: an RSA key takes its time.
var (
	creditIssuer = sync.OnceValue(newTestIssuer)
	spendIssuer  = sync.OnceValue(newTestIssuer)
)

func newTestIssuer() *Issuer {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	i, err := NewIssuer(private)
	if err != nil {
		panic(err)
	}
	return i
}

// issue makes a token.
func issue(t testing.TB, i *Issuer, c Challenge) Token {
	t.Helper()
	p, request, err := i.Key().Blind(c)
	if err != nil {
		t.Fatal(err)
	}
	response, err := i.Sign(request)
	if err != nil {
		t.Fatal(err)
	}
	made, err := p.Finish(response)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
