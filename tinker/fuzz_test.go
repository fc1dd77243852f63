package tinker

import (
	"bytes"
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// The keys of all targets are those of the vectors, so that what the corpora
// hold means the same each time.

func vectorOf(t testing.TB, id SuiteID) handshakeVector {
	t.Helper()
	return readVectors(t).Handshakes[slices.Index(Suites(), id)]
}

func permitAll(SuiteID, SuiteID) error { return nil }

// expectOneOf reports an error that a function does not tell of.
func expectOneOf(t *testing.T, err error, want ...error) {
	t.Helper()
	if !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) {
		t.Errorf("%v, which is none of %v", err, want)
	}
}

func FuzzHelloSuite(f *testing.F) {
	f.Add([]byte(vectorOf(f, TK3).Hello))
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := HelloSuite(data)
		switch {
		case err != nil:
			expectOneOf(t, err, ErrTooShort, ErrUnknownSuite)
		case !slices.Contains(Suites(), id) || uint16(id) != binary.BigEndian.Uint16(data):
			t.Errorf("a hello of %v: %x", id, data)
		}
	})
}

func FuzzParseSuite(f *testing.F) {
	f.Add("TK1")
	f.Fuzz(func(t *testing.T, name string) {
		id, err := ParseSuite(name)
		switch {
		case err != nil:
			expectOneOf(t, err, ErrUnknownSuite)
		case id.String() != name:
			t.Errorf("%q is read as %v", name, id)
		}
	})
}

// A hello from anybody.
func FuzzRespond(f *testing.F) {
	keys, hellos := make(map[SuiteID]*Prekeys), make(map[SuiteID][]byte)
	for _, id := range Suites() {
		v := vectorOf(f, id)
		keys[id], hellos[id] = v.prekeys(f), v.Hello
		f.Add([]byte(v.Hello))
		f.Add([]byte(v.Hello[:helloHeader]))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := HelloSuite(data)
		if err != nil {
			id = TK1
		}
		r, err := keys[id].Respond("tinker vectors", data)
		switch {
		case err != nil:
			expectOneOf(t, err, ErrTooShort, ErrUnknownSuite, ErrUnknownPrekey, ErrReplay, ErrDecrypt)
		case !bytes.Equal(data, hellos[id]):
			t.Errorf("a hello that nobody made was answered: %x", r.Payload)
		}
	})
}

// A hello from one who knows the prekey, and seals into it what it likes.
func FuzzRespondSealed(f *testing.F) {
	v := vectorOf(f, TK1)
	keys, s := v.prekeys(f), suiteOf(f, TK1)
	public, err := s.kem.NewPublicKey(v.PrekeyPublic)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(slices.Concat([]byte(v.EphemeralPublic), []byte("payload")))
	f.Add([]byte(v.EphemeralPublic))
	f.Fuzz(func(t *testing.T, data []byte) {
		enc, sender, err := hpke.NewSender(public, s.kdf, s.aead, v.HelloInfo)
		if err != nil {
			t.Fatal(err)
		}
		head := v.Hello[:helloHeader]
		sealed, err := sender.Seal(head, data)
		if err != nil {
			t.Fatal(err)
		}
		r, err := keys.Respond(v.Label, slices.Concat(head, enc, sealed))
		switch {
		case err != nil:
			expectOneOf(t, err, ErrTooShort, ErrDecrypt)
		case !bytes.Equal(r.Payload, data[s.publicSize:]) || len(r.Reply) != TK1.ReplySize():
			t.Errorf("payload %x, reply of %d bytes", r.Payload, len(r.Reply))
		}
	})
}

func FuzzReply(f *testing.F) {
	v := vectorOf(f, TK1)
	f.Add([]byte(v.Reply))
	f.Add(slices.Concat([]byte(v.Reply), []byte("rest")))
	f.Add([]byte(readVectors(f).Retry.Reply))
	waiting := v.initiator(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		first := *waiting.first
		first.root = bytes.Clone(first.root) // which Finish takes
		i := &Initiator{suite: waiting.suite, ephemeral: waiting.ephemeral, first: &first}
		reply, rest, err := i.SplitReply(data)
		if err != nil {
			expectOneOf(t, err, ErrTooShort, ErrDecrypt)
			reply, rest = data, nil
		}
		if !bytes.Equal(append(bytes.Clone(reply), rest...), data) {
			t.Errorf("%x was split into %x and %x", data, reply, rest)
		}
		session, err := i.Finish(reply)
		var retry *RetryError
		switch {
		case errors.As(err, &retry):
			made, err := Retry(retry.Descriptor)
			if err != nil || !bytes.Equal(made, reply) {
				t.Errorf("a retry with %x: %v", retry.Descriptor, err)
			}
		case err != nil:
			expectOneOf(t, err, ErrDecrypt)
		case !bytes.Equal(reply, v.Reply):
			t.Errorf("a reply that nobody made gave the session %x", session.Transcript)
		}
	})
}

// An offer inside a session.
func FuzzAccept(f *testing.F) {
	v := vectorOf(f, TK1)
	for _, step := range v.Steps {
		f.Add([]byte(step.Offer))
	}
	s := suiteOf(f, TK1)
	f.Fuzz(func(t *testing.T, data []byte) {
		b := sessionOf(t, s, v.Transcript, v.Root, false)
		step, err := b.Accept(data, permitAll)
		if err != nil {
			expectOneOf(t, err, ErrTooShort, ErrUnknownSuite, ErrDecrypt)
			return
		}
		to := suiteOf(t, SuiteID(binary.BigEndian.Uint16(data)))
		if b.Suite() != to.id || len(step.Message) != to.encSize || bytes.Equal(b.next, referenceNext(TK1, v.Root, v.Transcript)) {
			t.Errorf("a step to %v, with an answer of %d bytes", b.Suite(), len(step.Message))
		}
		if !bytes.Equal(data, v.Steps[0].Offer) {
			return
		}
		a := sessionOf(t, s, v.Transcript, v.Root, true)
		a.offer = &offer{suite: to, private: privateKey(t, to, v.Steps[0].OfferPrivate), message: data}
		a.Recv.held = true
		if _, err := a.Complete(step.Message); err != nil || !bytes.Equal(a.next, b.next) {
			t.Errorf("the initiator has another root, %v", err)
		}
	})
}

// An answer to an offer inside a session.
func FuzzComplete(f *testing.F) {
	v := vectorOf(f, TK1)
	step := v.Steps[0]
	f.Add([]byte(step.Accept))
	s := suiteOf(f, TK1)
	private := privateKey(f, s, step.OfferPrivate)
	f.Fuzz(func(t *testing.T, data []byte) {
		a := sessionOf(t, s, v.Transcript, v.Root, true)
		a.offer = &offer{suite: s, private: private, message: step.Offer}
		a.Recv.held = true
		_, err := a.Complete(data)
		switch {
		case err != nil:
			expectOneOf(t, err, ErrDecrypt)
		case bytes.Equal(a.next, referenceNext(TK1, step.Root, step.Transcript)) != bytes.Equal(data, step.Accept):
			t.Errorf("an answer that nobody made led to %x", a.next)
		}
	})
}
