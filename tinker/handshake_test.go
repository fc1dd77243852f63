package tinker

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func newPair(t testing.TB) (*Prekeys, Recipient) {
	t.Helper()
	c := PrekeyConfig{Identity: [32]byte{1}, Binding: [32]byte{2}}
	p, err := NewPrekeys(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, Recipient{Identity: c.Identity, Binding: c.Binding, Prekey: p.Public()[0]}
}

// handshake runs a whole one and returns both sessions.
func handshake(t testing.TB) (initiator, responder *Session) {
	t.Helper()
	keys, to := newPair(t)
	i, hello, err := Initiate(to, "test", []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := keys.Respond("test", hello)
	if err != nil {
		t.Fatal(err)
	}
	if initiator, err = i.Finish(r.Reply); err != nil {
		t.Fatal(err)
	}
	return initiator, r.Session
}

func TestHandshake(t *testing.T) {
	keys, to := newPair(t)
	i, hello, err := Initiate(to, "test", []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(hello), len("payload")+HelloOverhead; got != want {
		t.Errorf("hello has %d bytes, want %d", got, want)
	}
	early := i.Early().SealTo(nil, []byte("early"), 7)

	r, err := keys.Respond("test", hello)
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Payload) != "payload" || len(r.Reply) != ReplySize {
		t.Errorf("payload %q, reply of %d bytes", r.Payload, len(r.Reply))
	}
	typ, content, err := r.Early.Open(early)
	if err != nil || typ != 7 || string(content) != "early" {
		t.Errorf("early data: type %d, %q, %v", typ, content, err)
	}
	back := r.Session.Send.SealTo(nil, []byte("answer"), 1)

	s, err := i.Finish(r.Reply)
	if err != nil {
		t.Fatal(err)
	}
	if s.Transcript != r.Session.Transcript {
		t.Error("the two sides have different transcripts")
	}
	if _, content, err := s.Recv.Open(back); err != nil || string(content) != "answer" {
		t.Errorf("answer: %q, %v", content, err)
	}
	if _, content, err := r.Session.Recv.Open(s.Send.SealTo(nil, []byte("more"), 1)); err != nil || string(content) != "more" {
		t.Errorf("more: %q, %v", content, err)
	}
}

// Nothing of a hello may be changed, nor what both must agree on.
func TestHelloIsBound(t *testing.T) {
	keys, to := newPair(t)
	_, hello, err := Initiate(to, "test", []byte("payload"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range hello {
		flipped := bytes.Clone(hello)
		flipped[i] ^= 1
		if _, err := keys.Respond("test", flipped); err == nil {
			t.Fatalf("a hello with byte %d flipped was answered", i)
		}
	}
	for n := range 64 {
		if _, err := keys.Respond("test", hello[:n*len(hello)/64]); err == nil {
			t.Fatalf("a hello cut to %d bytes was answered", n)
		}
	}
	if _, err := keys.Respond("other", hello); !errors.Is(err, ErrDecrypt) {
		t.Errorf("hello with another label: %v, want %v", err, ErrDecrypt)
	}
	other := to
	other.Binding[0]++
	_, wrong, _ := Initiate(other, "test", nil)
	if _, err := keys.Respond("test", wrong); !errors.Is(err, ErrDecrypt) {
		t.Errorf("hello with another binding: %v, want %v", err, ErrDecrypt)
	}
	if _, err := keys.Respond("test", hello); err != nil {
		t.Errorf("after all that, the hello itself: %v", err)
	}
}

func TestReplyIsBound(t *testing.T) {
	keys, to := newPair(t)
	i, hello, _ := Initiate(to, "test", nil)
	r, err := keys.Respond("test", hello)
	if err != nil {
		t.Fatal(err)
	}
	for n := range r.Reply {
		flipped := bytes.Clone(r.Reply)
		flipped[n] ^= 0x80
		if _, err := i.Finish(flipped); !errors.Is(err, ErrDecrypt) {
			t.Fatalf("a reply with byte %d flipped: %v", n, err)
		}
	}
	if _, err := i.Finish(r.Reply); err != nil {
		t.Errorf("after all that, the reply itself: %v", err)
	}
}

func TestReplay(t *testing.T) {
	keys, to := newPair(t)
	_, hello, _ := Initiate(to, "test", nil)
	if _, err := keys.Respond("test", hello); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Respond("test", hello); !errors.Is(err, ErrReplay) {
		t.Errorf("the same hello again: %v, want %v", err, ErrReplay)
	}
}

func TestReplayLimit(t *testing.T) {
	keys, err := NewPrekeys(PrekeyConfig{ReplayLimit: 2})
	if err != nil {
		t.Fatal(err)
	}
	to := Recipient{Prekey: keys.Public()[0]}
	for n, want := range []error{nil, nil, ErrFull} {
		_, hello, _ := Initiate(to, "test", nil)
		if _, err := keys.Respond("test", hello); !errors.Is(err, want) {
			t.Errorf("hello %d: %v, want %v", n, err, want)
		}
	}
}

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, to := newPair(t)
		_, hello, _ := Initiate(to, "test", nil)
		first := keys.Public()
		if len(first) != 2 || first[0].NotAfter != first[1].NotBefore {
			t.Fatalf("%d prekeys; want two, one behind the other", len(first))
		}
		time.Sleep(DefaultSlot)
		second := keys.Public()
		if len(second) != 2 || second[0].ID() != first[1].ID() {
			t.Error("the next prekey did not become the current one")
		}
		if err := first[0].Check(time.Now()); !errors.Is(err, ErrPrekeyExpired) {
			t.Errorf("after its slot: %v, want %v", err, ErrPrekeyExpired)
		}
		if _, err := keys.Respond("test", hello); err != nil {
			t.Errorf("within the grace: %v", err)
		}
		time.Sleep(DefaultGrace)
		_, late, _ := Initiate(to, "test", nil)
		if _, err := keys.Respond("test", late); !errors.Is(err, ErrUnknownPrekey) {
			t.Errorf("after the grace: %v, want %v", err, ErrUnknownPrekey)
		}
		time.Sleep(30 * DefaultSlot)
		if p := keys.Public(); len(p) != 2 || p[0].Check(time.Now()) != nil {
			t.Error("after a long sleep there is no current prekey")
		}
		keys.Close()
		if _, err := keys.Respond("test", hello); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v, want %v", err, ErrClosed)
		}
	})
}

// A route in one flight: the outer hello carries the inner one.
func TestNestedHellos(t *testing.T) {
	outer, toOuter := newPair(t)
	inner, toInner := newPair(t)
	_, in, err := Initiate(toInner, "test", []byte("for the last"))
	if err != nil {
		t.Fatal(err)
	}
	_, out, err := Initiate(toOuter, "test", in)
	if err != nil {
		t.Fatal(err)
	}
	r, err := outer.Respond("test", out)
	if err != nil {
		t.Fatal(err)
	}
	last, err := inner.Respond("test", r.Payload)
	if err != nil || string(last.Payload) != "for the last" {
		t.Errorf("inner hello: %v", err)
	}
}

func FuzzRespond(f *testing.F) {
	keys, to := newPair(f)
	_, hello, _ := Initiate(to, "test", []byte("payload"))
	f.Add(hello)
	f.Add(hello[:helloHeader])
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := keys.Respond("test", data)
		if err == nil && !bytes.Equal(data, hello) {
			t.Errorf("a hello that nobody made was answered: %x", r.Payload)
		}
	})
}

func BenchmarkHello(b *testing.B) {
	keys, err := NewPrekeys(PrekeyConfig{ReplayLimit: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	to := Recipient{Prekey: keys.Public()[0]}
	b.Run("TK1/initiate", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := Initiate(to, "bench", nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("TK1/whole", func(b *testing.B) {
		for b.Loop() {
			i, hello, _ := Initiate(to, "bench", nil)
			r, err := keys.Respond("bench", hello)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := i.Finish(r.Reply); err != nil {
				b.Fatal(err)
			}
		}
	})
}
