package token

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func newExchange(t *testing.T) (*Exchange, *Spent) {
	t.Helper()
	spent := mustOpen(t, filepath.Join(t.TempDir(), "spent"), SpentConfig{})
	x, err := NewExchange(issuerName, creditIssuer().Key(), spendIssuer(), spent)
	if err != nil {
		t.Fatal(err)
	}
	return x, spent
}

func blindSpend(t *testing.T) (*Pending, Request) {
	t.Helper()
	p, request, err := spendIssuer().Key().Blind(SpendChallenge(issuerName, node, 70))
	if err != nil {
		t.Fatal(err)
	}
	return p, request
}

func TestExchange(t *testing.T) {
	x, spent := newExchange(t)
	credit := issue(t, creditIssuer(), CreditChallenge(issuerName, 3))
	pending, request := blindSpend(t)

	response, err := x.Exchange(t.Context(), credit, request, 4, 3)
	if err != nil {
		t.Fatal(err)
	}
	made, err := pending.Finish(response)
	if err != nil {
		t.Fatal(err)
	}
	if err := spendIssuer().Key().Verify(made, SpendChallenge(issuerName, node, 70)); err != nil {
		t.Error(err)
	}
	if again, err := x.Exchange(t.Context(), credit, request, 4, 3); err != nil || again != response {
		t.Errorf("the same request again: %v", err)
	}
	_, other := blindSpend(t)
	if _, err := x.Exchange(t.Context(), credit, other, 3); !errors.Is(err, ErrSpent) {
		t.Errorf("another request for the same credit: %v", err)
	}
	if got := spent.Len(); got != 2 {
		t.Errorf("the set has %d keys, want 2", got)
	}
}

// What is refused does not cost the credit.
func TestExchangeRefuses(t *testing.T) {
	x, spent := newExchange(t)
	credit := issue(t, creditIssuer(), CreditChallenge(issuerName, 3))
	_, request := blindSpend(t)
	forOther := request
	forOther.KeyID ^= 1
	tooLarge := request
	for i := range tooLarge.Blinded {
		tooLarge.Blinded[i] = 0xff
	}
	changed := credit
	changed.Authenticator[9] ^= 1

	tests := []struct {
		name    string
		credit  Token
		request Request
		epochs  []uint64
		want    error // any if nil
	}{
		{"request for another key", credit, forOther, []uint64{3}, ErrWrongKey},
		{"request that cannot be signed", credit, tooLarge, []uint64{3}, nil},
		{"other epochs", credit, request, []uint64{2, 4}, ErrWrongChallenge},
		{"no epoch", credit, request, nil, ErrWrongChallenge},
		{"changed credit", changed, request, []uint64{3}, ErrSignature},
		{"spend token", issue(t, spendIssuer(), CreditChallenge(issuerName, 3)), request, []uint64{3}, ErrWrongKey},
		{"credit of another issuer", issue(t, creditIssuer(), CreditChallenge("other.example", 3)), request, []uint64{3}, ErrWrongChallenge},
		{"credit for a node", issue(t, creditIssuer(), SpendChallenge(issuerName, node, 3)), request, []uint64{3}, ErrWrongChallenge},
	}
	for _, test := range tests {
		_, err := x.Exchange(t.Context(), test.credit, test.request, test.epochs...)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
	if got := spent.Len(); got != 0 {
		t.Errorf("what was refused has spent %d keys", got)
	}
	if _, err := x.Exchange(t.Context(), credit, request, 3); err != nil {
		t.Errorf("after all that, the credit itself: %v", err)
	}
}

// One credit never pays for two tokens, however many ask at once.
func TestExchangeAtOnce(t *testing.T) {
	x, _ := newExchange(t)
	credit := issue(t, creditIssuer(), CreditChallenge(issuerName, 3))
	var wg sync.WaitGroup
	var mu sync.Mutex
	signed := map[Response]bool{}
	for range 4 {
		_, request := blindSpend(t)
		for range 4 { // and each request is sent again
			wg.Go(func() {
				response, err := x.Exchange(t.Context(), credit, request, 3)
				switch {
				case err == nil:
					mu.Lock()
					signed[response] = true
					mu.Unlock()
				case !errors.Is(err, ErrSpent):
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if len(signed) != 1 {
		t.Errorf("one credit paid for %d tokens", len(signed))
	}
}

// A credit whose nonce is chosen to look like the receipt of another one does
// not pay for it.
func TestReceiptCannotBeChosen(t *testing.T) {
	x, spent := newExchange(t)
	credit := issue(t, creditIssuer(), CreditChallenge(issuerName, 3))
	_, first := blindSpend(t)
	_, second := blindSpend(t)
	_, receipt := exchangeKeys(credit, second)
	if key, _ := exchangeKeys(Token{Nonce: receipt}, first); key == receipt {
		t.Fatal("a nonce is its own key")
	}
	if err := spent.Spend(t.Context(), 3, exchangeKey(Token{Nonce: receipt})); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Exchange(t.Context(), credit, first, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Exchange(t.Context(), credit, second, 3); !errors.Is(err, ErrSpent) {
		t.Errorf("a second token for one credit: %v", err)
	}
}

func exchangeKey(credit Token) [32]byte {
	key, _ := exchangeKeys(credit, Request{})
	return key
}

// A request that comes again is not signed before the credit is durably spent.
func TestExchangeAgainTooSoon(t *testing.T) {
	inSync, goOn := make(chan struct{}), make(chan struct{})
	d := &faultyDisk{}
	spent := openFaulty(t, d)
	x, err := NewExchange(issuerName, creditIssuer().Key(), spendIssuer(), spent)
	if err != nil {
		t.Fatal(err)
	}
	if err := spent.Spend(t.Context(), 3, testKey(0)); err != nil { // makes the file
		t.Fatal(err)
	}
	credit := issue(t, creditIssuer(), CreditChallenge(issuerName, 3))
	_, request := blindSpend(t)
	d.beforeSync = func() {
		inSync <- struct{}{}
		<-goOn
	}
	answers := make(chan error, 2)
	ask := func() {
		_, err := x.Exchange(t.Context(), credit, request, 3)
		answers <- err
	}
	go ask()
	<-inSync
	go ask()
	waitFor(spent, func() bool { return spent.queue.flush || len(answers) > 0 })
	if len(answers) > 0 {
		t.Error("signed before the credit was durably spent")
	}
	d.failSync.Store(true)
	goOn <- struct{}{}
	for range 2 {
		if err := <-answers; !errors.Is(err, errDisk) {
			t.Errorf("signed though the credit is not durably spent: %v", err)
		}
	}
}

func TestExchangeWithBrokenDisk(t *testing.T) {
	d := &faultyDisk{}
	spent := openFaulty(t, d)
	x, err := NewExchange(issuerName, creditIssuer().Key(), spendIssuer(), spent)
	if err != nil {
		t.Fatal(err)
	}
	credit := issue(t, creditIssuer(), CreditChallenge(issuerName, 3))
	_, request := blindSpend(t)
	d.failSync.Store(true)
	for range 2 {
		if _, err := x.Exchange(t.Context(), credit, request, 3); !errors.Is(err, errDisk) {
			t.Errorf("signed without a durable note of the credit: %v", err)
		}
	}
}

func TestNewExchangeRefuses(t *testing.T) {
	_, spent := newExchange(t)
	if _, err := NewExchange(issuerName, spendIssuer().Key(), spendIssuer(), spent); err == nil || !strings.Contains(err.Error(), "same issuer key") {
		t.Errorf("one key for both tiers: %v", err)
	}
	if _, err := NewExchange("", creditIssuer().Key(), spendIssuer(), spent); err == nil {
		t.Error("an exchange without a name")
	}
}
