package tinker

import (
	"bytes"
	"errors"
	"testing"
)

// step takes both sides through a step of the ratchet.
func step(t testing.TB, a, b *Session, to SuiteID) {
	t.Helper()
	permit := func(SuiteID, SuiteID) error { return nil }
	offer, err := a.Offer(to)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := b.Accept(open(t, b.Recv, seal(t, a.Send, offer, 1)), permit)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := b.Send.SealStepTo(nil, answer.Message, 2, answer)
	if err != nil {
		t.Fatal(err)
	}
	last, err := a.Complete(open(t, a.Recv, sealed))
	if err != nil {
		t.Fatal(err)
	}
	if sealed, err = a.Send.SealStepTo(nil, []byte("last"), 3, last); err != nil {
		t.Fatal(err)
	}
	open(t, b.Recv, sealed)
}

func TestStep(t *testing.T) {
	perSuite(t, func(t *testing.T, from SuiteID) {
		for _, to := range Suites() {
			a, b := handshake(t, from)
			before := bytes.Clone(a.next)
			step(t, a, b, to)
			if a.Suite() != to || b.Suite() != to {
				t.Errorf("from %v to %v: the sides are at %v and %v", from, to, a.Suite(), b.Suite())
			}
			if bytes.Equal(a.next, before) || !bytes.Equal(a.next, b.next) || a.th != b.th {
				t.Error("the sides have no new root in common")
			}
			open(t, b.Recv, seal(t, a.Send, []byte("there"), 1))
			open(t, a.Recv, seal(t, b.Send, []byte("back"), 1))
			step(t, a, b, from)
			open(t, b.Recv, seal(t, a.Send, []byte("again"), 1))
		}
	})
}

// Messages that cross a step on the way still open.
func TestStepWithDataInFlight(t *testing.T) {
	a, b := handshake(t, TK1)
	offer, err := a.Offer(TK1)
	if err != nil {
		t.Fatal(err)
	}
	forward := [][]byte{seal(t, a.Send, []byte("before"), 1), seal(t, a.Send, offer, 2), seal(t, a.Send, []byte("after"), 1)}
	backward := [][]byte{seal(t, b.Send, []byte("before"), 1)}
	open(t, b.Recv, forward[0])
	answer, err := b.Accept(open(t, b.Recv, forward[1]), nil)
	if err != nil {
		t.Fatal(err)
	}
	backward = append(backward, seal(t, b.Send, []byte("between"), 1))
	last, err := b.Send.SealStepTo(nil, answer.Message, 2, answer)
	if err != nil {
		t.Fatal(err)
	}
	backward = append(backward, last, seal(t, b.Send, []byte("new root"), 1))
	open(t, b.Recv, forward[2])

	open(t, a.Recv, backward[0])
	open(t, a.Recv, backward[1])
	done, err := a.Complete(open(t, a.Recv, backward[2]))
	if err != nil {
		t.Fatal(err)
	}
	open(t, b.Recv, seal(t, a.Send, []byte("old root"), 1))
	open(t, a.Recv, backward[3])
	if last, err = a.Send.SealStepTo(nil, nil, 1, done); err != nil {
		t.Fatal(err)
	}
	open(t, b.Recv, last)
	open(t, b.Recv, seal(t, a.Send, []byte("new root"), 1))
}

func TestStepOutOfTurn(t *testing.T) {
	a, b := handshake(t, TK1)
	check := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	_, err := b.Offer(TK1)
	check("the responder offers", err, ErrNoOffer)
	_, err = a.Complete(make([]byte, xwingEncSize))
	check("an answer without an offer", err, ErrNoOffer)
	_, err = a.Offer(99)
	check("an unknown suite", err, ErrUnknownSuite)
	offer, err := a.Offer(TK1)
	check("an offer", err, nil)
	_, err = a.Offer(TK1)
	check("a second offer", err, ErrStepUnderWay)
	_, err = a.Complete(make([]byte, xwingEncSize))
	check("an answer that was not the last of its chain", err, ErrNoOffer)
	_, err = a.Accept(offer, nil)
	check("the initiator accepts", err, ErrNoOffer)
	answer, err := b.Accept(offer, nil)
	check("accept", err, nil)
	_, err = b.Accept(offer, nil)
	check("accept twice", err, ErrStepUnderWay)

	sealed, err := b.Send.SealStepTo(nil, answer.Message, 2, answer)
	check("seal the step", err, nil)
	accept := open(t, a.Recv, sealed)
	next := seal(t, b.Send, []byte("too early"), 1)
	last, err := a.Complete(accept)
	check("complete", err, nil)
	open(t, a.Recv, next)
	_, err = a.Offer(TK1)
	check("an offer before the step was sealed", err, ErrStepUnderWay)
	_, err = b.Accept(offer, nil)
	check("accept before the initiator has changed", err, ErrStepUnderWay)
	_, err = a.Send.SealStepTo(nil, nil, 1, last)
	check("seal the last step", err, nil)
}

// Behind the message that ends a chain, nothing opens until the step is
// complete.
func TestNothingOpensWithoutTheStep(t *testing.T) {
	a, b := handshake(t, TK1)
	offer, _ := a.Offer(TK1)
	answer, err := b.Accept(offer, nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed, _ := b.Send.SealStepTo(nil, answer.Message, 2, answer)
	accept := open(t, a.Recv, sealed)
	if _, _, err := a.Recv.Open(seal(t, b.Send, nil, 1)); !errors.Is(err, ErrDecrypt) {
		t.Errorf("before Complete: %v, want %v", err, ErrDecrypt)
	}
	if _, err := a.Complete(accept); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Recv.Open(seal(t, b.Send, nil, 1)); !errors.Is(err, ErrDecrypt) {
		t.Errorf("after a message that did not open: %v, want %v", err, ErrDecrypt)
	}
}

// A step that came to a limit was not sealed: no other may begin, and it can
// still be completed by what stays below the limit.
func TestStepAtALimit(t *testing.T) {
	a, b := handshake(t, TK1)
	offer, _ := a.Offer(TK1)
	answer, err := b.Accept(offer, nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed, _ := b.Send.SealStepTo(nil, answer.Message, 2, answer)
	last, err := a.Complete(open(t, a.Recv, sealed))
	if err != nil {
		t.Fatal(err)
	}
	a.Send.limits.RootBytes = 100
	if _, err := a.Send.SealStepTo(nil, make([]byte, 100), 1, last); !errors.Is(err, ErrExpired) {
		t.Fatalf("above the limit: %v, want %v", err, ErrExpired)
	}
	if _, err := a.Offer(TK1); !errors.Is(err, ErrStepUnderWay) {
		t.Errorf("an offer before the step was sealed: %v, want %v", err, ErrStepUnderWay)
	}
	if sealed, err = a.Send.SealStepTo(nil, nil, 1, last); err != nil {
		t.Fatal(err)
	}
	open(t, b.Recv, sealed)
	open(t, b.Recv, seal(t, a.Send, []byte("new root"), 1))

	defer func() {
		if recover() == nil {
			t.Error("a step was sealed twice")
		}
	}()
	a.Send.SealStepTo(nil, nil, 1, last)
}

func TestAcceptRefuses(t *testing.T) {
	_, b := handshake(t, TK2)
	good, _ := handshake(t, TK2)
	lower := errors.New("lower")
	check := func(from, to SuiteID) error {
		if to < from {
			return lower
		}
		return nil
	}
	offer := func(id SuiteID) []byte {
		a, _ := handshake(t, TK2)
		m, err := a.Offer(id)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	same, _ := good.Offer(TK2)
	tests := map[string]struct {
		offer []byte
		check func(from, to SuiteID) error
		want  error
	}{
		"another suite without a policy": {offer(TK3), nil, ErrSuiteRefused},
		"a lower suite":                  {offer(TK1), check, lower},
		"an unknown suite":               {[]byte{0, 99}, check, ErrUnknownSuite},
		"nothing":                        {nil, check, ErrTooShort},
		"a short key":                    {same[:len(same)-1], check, ErrDecrypt},
		"a long key":                     {append(bytes.Clone(same), 0), check, ErrDecrypt},
		"no key of ML-KEM":               {append([]byte{0, 2}, bytes.Repeat([]byte{0xff}, xwingPublicSize)...), check, ErrDecrypt},
		"its own suite":                  {same, nil, nil},
	}
	for name, test := range tests {
		if name == "its own suite" {
			continue // last: it begins a step
		}
		if _, err := b.Accept(test.offer, test.check); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if _, err := b.Accept(same, nil); err != nil {
		t.Errorf("its own suite: %v", err)
	}
}

// Any change of an offer or an answer is noticed, at the latest with the next
// message.
func TestStepIsBound(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for _, id := range Suites() {
		for _, field := range []string{"offer", "accept"} {
			t.Run(id.String()+"/"+field, func(t *testing.T) {
				t.Parallel()
				size := map[string]int{"offer": offerHeader + suiteOf(t, id).publicSize, "accept": suiteOf(t, id).encSize}[field]
				for bit := 0; bit < 8*size; bit += 37 { // every byte, all places of a bit
					if stepWithFlip(t, id, field, bit) {
						t.Fatalf("bit %d changed, and messages still open", bit)
					}
				}
			})
		}
	}
}

func suiteOf(t testing.TB, id SuiteID) *suite {
	t.Helper()
	s, err := id.suite()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stepWithFlip changes a bit where the transport would not notice, and says
// whether both directions still work after the step.
func stepWithFlip(t *testing.T, id SuiteID, field string, bit int) bool {
	a, b := handshake(t, id)
	offer, err := a.Offer(id)
	if err != nil {
		t.Fatal(err)
	}
	offer = bytes.Clone(offer)
	if field == "offer" {
		offer[bit/8] ^= 1 << (bit % 8)
	}
	answer, err := b.Accept(offer, nil)
	if err != nil {
		return false
	}
	accept := bytes.Clone(answer.Message)
	if field == "accept" {
		accept[bit/8] ^= 1 << (bit % 8)
	}
	sealed, err := b.Send.SealStepTo(nil, accept, 2, answer)
	if err != nil {
		t.Fatal(err)
	}
	open(t, a.Recv, sealed)
	last, err := a.Complete(accept)
	if err != nil {
		return false
	}
	_, _, back := a.Recv.Open(seal(t, b.Send, nil, 1))
	sealed, err = a.Send.SealStepTo(nil, nil, 2, last)
	if err != nil {
		t.Fatal(err)
	}
	open(t, b.Recv, sealed)
	_, _, there := b.Recv.Open(seal(t, a.Send, nil, 1))
	return back == nil || there == nil
}

// clone is what somebody has who takes a session's state.
func (s *Session) clone() *Session {
	c := *s
	c.next = bytes.Clone(s.next)
	copyChain := func(c *chain) *chain {
		if c == nil {
			return nil
		}
		taken := *c
		taken.key = bytes.Clone(c.key)
		return &taken
	}
	c.Send, c.Recv = &Sealer{direction: s.Send.direction, since: s.Send.since}, &Opener{direction: s.Recv.direction}
	c.Send.chain, c.Recv.chain = copyChain(s.Send.chain), copyChain(s.Recv.chain)
	c.Recv.ahead = copyChain(s.Recv.ahead)
	return &c
}

// Who takes a relay's state opens what comes until the next step, and neither
// what came before nor, without changing anything on the wire, what comes
// after a step that begins later.
func TestStolenState(t *testing.T) {
	perSuite(t, func(t *testing.T, id SuiteID) {
		a, b := handshake(t, id)
		var before [][]byte
		for range 2 * stepUnits {
			m := seal(t, a.Send, []byte("before"), 1)
			before = append(before, bytes.Clone(m))
			open(t, b.Recv, m)
		}
		stolen := b.clone()
		for i, m := range before {
			if _, _, err := stolen.clone().Recv.Open(m); err == nil {
				t.Fatalf("message %d of %d, from before the theft, opens", i, len(before))
			}
		}
		forward, _, _, err := chains(suiteOf(t, id), bytes.Clone(stolen.next), stolen.th)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := openerOf(forward).Open(bytes.Clone(before[0])); err == nil {
			t.Error("the first message opens: the root is still there")
		}
		during := seal(t, a.Send, []byte("during"), 1)
		if got := open(t, stolen.Recv, bytes.Clone(during)); string(got) != "during" {
			t.Errorf("the thief reads %q: the test is no good", got)
		}
		open(t, b.Recv, during)

		// The thief follows the step's messages as far as the keys reach.
		offer, err := a.Offer(id)
		if err != nil {
			t.Fatal(err)
		}
		sealed := seal(t, a.Send, offer, 1)
		stolenOffer := bytes.Clone(open(t, stolen.Recv, bytes.Clone(sealed)))
		answer, err := b.Accept(open(t, b.Recv, sealed), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stolen.Accept(stolenOffer, nil); err != nil { // an encapsulation of its own
			t.Fatal(err)
		}
		sealed, err = b.Send.SealStepTo(nil, answer.Message, 2, answer)
		if err != nil {
			t.Fatal(err)
		}
		last, err := a.Complete(open(t, a.Recv, sealed))
		if err != nil {
			t.Fatal(err)
		}
		if sealed, err = a.Send.SealStepTo(nil, nil, 3, last); err != nil {
			t.Fatal(err)
		}
		open(t, stolen.Recv, bytes.Clone(sealed))
		open(t, b.Recv, sealed)
		after := seal(t, a.Send, []byte("after"), 1)
		if _, _, err := stolen.Recv.Open(bytes.Clone(after)); err == nil {
			t.Error("the thief reads what came after the step")
		}
		open(t, b.Recv, after)
	})
}

func TestStepContent(t *testing.T) {
	content := bytes.Repeat([]byte{9}, 10)
	PutStep(content, []byte("abc"))
	if got, err := ParseStep(content); err != nil || string(got) != "abc" || !bytes.Equal(content[5:], make([]byte, 5)) {
		t.Errorf("%q, %v of %v", got, err, content)
	}
	PutStep(content, nil)
	if got, err := ParseStep(content); err != nil || len(got) != 0 {
		t.Errorf("%q, %v, want nothing", got, err)
	}
	for _, cut := range [][]byte{nil, {0}, {0, 1}, {255, 255, 0}} {
		if _, err := ParseStep(cut); !errors.Is(err, ErrTooShort) {
			t.Errorf("%v: %v, want %v", cut, err, ErrTooShort)
		}
	}
}
