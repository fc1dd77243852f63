package tinker

import (
	"bytes"
	"errors"
	"testing"
)

// What has been closed has no keys left, and says so instead of sealing with
// none.
func TestClose(t *testing.T) {
	a, b := handshake(t, TK1)
	offer, err := a.Offer(TK1)
	if err != nil {
		t.Fatal(err)
	}
	step, err := b.Accept(offer, nil) // under way: there are the keys of two roots
	if err != nil {
		t.Fatal(err)
	}
	var keys [][]byte
	for _, s := range []*Session{a, b} {
		keys = append(keys, s.next, s.Send.key, s.Recv.key)
	}
	keys = append(keys, b.Recv.ahead.key, step.send.key)
	sealed := seal(t, a.Send, []byte("sealed before"), 1)
	a.Close()
	b.Close()
	for i, key := range keys {
		if len(key) == 0 || !bytes.Equal(key, make([]byte, len(key))) {
			t.Errorf("key %d is still there", i)
		}
	}
	if a.offer != nil || b.step != nil || a.Send.aead != nil || b.Recv.aead != nil || b.Recv.ahead != nil {
		t.Error("a key is still held")
	}
	_, sealErr := a.Send.SealTo(nil, []byte("x"), 1)
	_, stepErr := b.Send.SealStepTo(nil, []byte("x"), 1, step)
	_, _, openErr := b.Recv.OpenTo(nil, sealed)
	_, offerErr := a.Offer(TK1)
	_, acceptErr := b.Accept(offer, nil)
	_, completeErr := a.Complete(step.Message)
	for what, err := range map[string]error{
		"seal": sealErr, "seal a step": stepErr, "open": openErr, "offer": offerErr, "accept": acceptErr, "complete": completeErr,
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want %v", what, err, ErrClosed)
		}
	}
	a.Close()
	b.Close()
}

func TestCloseInitiator(t *testing.T) {
	keys, to := newPair(t, TK1)
	i, hello, err := Initiate(to, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := keys.Respond("test", hello)
	if err != nil {
		t.Fatal(err)
	}
	root, early := i.first.root, i.early.key
	i.Close()
	if !bytes.Equal(root, make([]byte, len(root))) || !bytes.Equal(early, make([]byte, len(early))) {
		t.Error("a key is still there")
	}
	if _, err := i.Finish(r.Reply); !errors.Is(err, ErrClosed) {
		t.Errorf("finish: %v, want %v", err, ErrClosed)
	}
	if _, err := i.Early().SealTo(nil, nil, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("seal early: %v, want %v", err, ErrClosed)
	}
}

// A closed hop can't be sealed for, by one goroutine or by many.
func TestCloseHop(t *testing.T) {
	workers := NewWorkers(2)
	t.Cleanup(workers.Close)
	p := newPath(t, 0, workers, TK1, TK1)
	cells := p.payloads(0, 20)
	p.onion.out.sealers[1].Close()
	if err := p.onion.SealAll(cells, LayerLocal); !errors.Is(err, ErrClosed) {
		t.Errorf("seal: %v, want %v", err, ErrClosed)
	}
}

// A step seals for its own session alone: another one's chain would be replaced.
func TestStepOfAnotherSession(t *testing.T) {
	a, b := handshake(t, TK1)
	c, d := handshake(t, TK1)
	offer, err := a.Offer(TK1)
	if err != nil {
		t.Fatal(err)
	}
	step, err := b.Accept(offer, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Send.SealStepTo(nil, step.Message, 1, step); !errors.Is(err, ErrOtherStep) {
		t.Errorf("a step of another session: %v, want %v", err, ErrOtherStep)
	}
	open(t, c.Recv, seal(t, d.Send, []byte("goes on"), 1))
	sealed, err := b.Send.SealStepTo(nil, step.Message, 1, step)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Complete(open(t, a.Recv, sealed)); err != nil {
		t.Error(err)
	}
}
