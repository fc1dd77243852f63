package tinker

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/cryptotest"
	"time"
)

// generateVectors makes the vectors with the code as anybody uses it, and reads
// the secrets out of it.
func generateVectors(t *testing.T) vectorFile {
	t.Helper()
	cryptotest.SetGlobalRandom(t, 1)
	f := vectorFile{About: "Vectors of Tinker, explained in README.md beside this file. All bytes are hexadecimal. The keys are for tests alone."}
	for _, id := range Suites() {
		to := []SuiteID{id}
		if id == TK1 {
			to = append(to, TK3) // another suite
		}
		f.Handshakes = append(f.Handshakes, generateHandshake(t, id, to))
	}
	f.Onion = generateOnion(t)
	descriptor := []byte("what the responder publishes now")
	reply, err := Retry(descriptor)
	if err != nil {
		t.Fatal(err)
	}
	f.Retry = retryVector{Descriptor: descriptor, Reply: reply}
	return f
}

// counting is n bytes that count up from the first.
func counting(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

func generateHandshake(t *testing.T, id SuiteID, to []SuiteID) handshakeVector {
	v := handshakeVector{
		Suite: id.String(), Identity: counting(0x20, 32), Binding: counting(0x60, 32),
		Label: "tinker vectors", Payload: []byte("the payload of the hello"),
	}
	keys, err := NewPrekeys(PrekeyConfig{Suite: id, Identity: [32]byte(v.Identity), Binding: [32]byte(v.Binding)})
	if err != nil {
		t.Fatal(err)
	}
	v.PrekeyPrivate = privateBytes(t, keys.slots[0].private)
	v.PrekeyPublic, v.PrekeyID = keys.slots[0].public.Public, keys.slots[0].id[:]
	recipient := Recipient{Identity: [32]byte(v.Identity), Binding: [32]byte(v.Binding), Prekey: keys.slots[0].public}
	info := recipient.info(suiteOf(t, id), v.Label)
	v.HelloInfo = info
	i, hello, err := Initiate(recipient, v.Label, v.Payload)
	if err != nil {
		t.Fatal(err)
	}
	v.Hello = hello
	v.EphemeralPrivate, v.EphemeralPublic = privateBytes(t, i.ephemeral), i.ephemeral.PublicKey().Bytes()
	first, _ := v.openHello(t)
	v.HelloTranscript, v.EarlySecret, v.HelloRoot = first.th[:], first.early, first.root
	r, err := keys.Respond(v.Label, hello)
	if err != nil {
		t.Fatal(err)
	}
	early := &recording{t: t}
	early.message(fromInitiator, i.Early(), r.Early, []byte("early data"), 1)
	early.message(fromInitiator, i.Early(), r.Early, nil, 2)
	v.Early, v.Reply = early.messages, r.Reply
	v.Refused = generateRefused(t, v, keys, i)
	v.Root = rootOf(t, i, r.Reply)
	a, err := i.Finish(r.Reply)
	if err != nil {
		t.Fatal(err)
	}
	v.Transcript = bytes.Clone(a.Transcript[:])
	v.Messages = generateMessages(t, a, r.Session)
	for _, id := range to {
		v.Steps = append(v.Steps, generateStep(t, a, r.Session, id))
	}
	return v
}

func privateBytes(t testing.TB, key interface{ Bytes() ([]byte, error) }) []byte {
	t.Helper()
	b, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b)
}

// A recording seals messages, opens them again, and keeps both.
type recording struct {
	t        *testing.T
	messages []messageVector
}

func (r *recording) message(from string, s *Sealer, o *Opener, content []byte, typ byte) {
	r.add(from, o, content, func() ([]byte, error) { return s.SealTo(nil, content, typ) })
}

func (r *recording) step(from string, s *Sealer, o *Opener, content []byte, typ byte, step *Step) {
	r.add(from, o, content, func() ([]byte, error) { return s.SealStepTo(nil, content, typ, step) })
}

func (r *recording) add(from string, o *Opener, content []byte, seal func() ([]byte, error)) {
	r.t.Helper()
	sealed, err := seal()
	if err != nil {
		r.t.Fatal(err)
	}
	plain, err := o.open(nil, sealed)
	if err != nil || !bytes.Equal(plain[1:], content) {
		r.t.Fatalf("opened %x, %v", plain, err)
	}
	r.messages = append(r.messages, messageVector{
		From: from, Type: plain[0] & MaxType, Step: plain[0]&typeStep != 0, Ratchet: plain[0]&typeRatchet != 0,
		Content: content, Sealed: sealed,
	})
}

// generateMessages steps the chain forward with the number of messages, and
// backward with a message of two units and the flag.
func generateMessages(t *testing.T, a, b *Session) []messageVector {
	r := &recording{t: t}
	r.message(fromInitiator, a.Send, b.Recv, []byte("the first forward"), 1)
	r.message(fromResponder, b.Send, a.Recv, []byte("the first backward"), MaxType)
	for n := range stepUnits + 1 {
		r.message(fromInitiator, a.Send, b.Recv, nil, byte(n%(MaxType+1)))
	}
	r.message(fromResponder, b.Send, a.Recv, make([]byte, unitSize+1-LayerOverhead), 2)
	for n := range stepUnits - 3 {
		r.message(fromResponder, b.Send, a.Recv, nil, byte(n))
	}
	r.message(fromResponder, b.Send, a.Recv, []byte("after 64 units"), 1)
	b.Send.since = time.Now().Add(-stepTime)
	r.message(fromResponder, b.Send, a.Recv, []byte("with the flag"), 1)
	r.message(fromResponder, b.Send, a.Recv, []byte("after the flag"), 1)
	return r.messages
}

func generateStep(t *testing.T, a, b *Session, to SuiteID) stepVector {
	r := &recording{t: t}
	offer, err := a.Offer(to)
	if err != nil {
		t.Fatal(err)
	}
	v := stepVector{Suite: to.String(), Offer: offer, OfferPrivate: privateBytes(t, a.offer.private)}
	r.message(fromInitiator, a.Send, b.Recv, offer, 1)
	answer, err := b.Accept(offer, func(SuiteID, SuiteID) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	v.Accept = answer.Message
	r.message(fromResponder, b.Send, a.Recv, []byte("before the answer"), 3)
	r.step(fromResponder, b.Send, a.Recv, answer.Message, 2, answer)
	v.Root = nextRootOf(t, a, answer.Message)
	last, err := a.Complete(answer.Message)
	if err != nil {
		t.Fatal(err)
	}
	v.Transcript = bytes.Clone(a.th[:])
	r.message(fromInitiator, a.Send, b.Recv, []byte("still the last root"), 3)
	r.message(fromResponder, b.Send, a.Recv, []byte("the new root backward"), 3)
	r.step(fromInitiator, a.Send, b.Recv, nil, 3, last)
	r.message(fromInitiator, a.Send, b.Recv, []byte("the new root forward"), 3)
	v.Messages = r.messages
	return v
}

// generateRefused changes each field of hello and reply.
func generateRefused(t *testing.T, v handshakeVector, keys *Prekeys, i *Initiator) []refusedVector {
	t.Helper()
	s := suiteNamed(t, v.Suite)
	dh := s.publicSize - newHalf(t, s.id).pqPublic
	end := helloHeader + s.encSize
	refused := []refusedVector{
		{Message: "hello", Byte: 0, Xor: 0x80},
		{Message: "hello", Byte: 2, Xor: 1},
		{Message: "hello", Byte: helloHeader, Xor: 1},
		{Message: "hello", Byte: end - dh, Xor: 4},
		{Message: "hello", Byte: end, Xor: 1},
		{Message: "hello", Byte: len(v.Hello) - 1, Xor: 0x80},
		{Message: "hello", Byte: s.id.HelloOverhead() - 1},
		{Message: "hello", Byte: len(v.Hello) - 1},
		{Message: "reply", Byte: 0, Xor: 2},
		{Message: "reply", Byte: replyHeader, Xor: 1},
		{Message: "reply", Byte: replyHeader + s.encSize - dh, Xor: 4},
		{Message: "reply", Byte: len(v.Reply) - 1, Xor: 0x80},
		{Message: "reply", Byte: len(v.Reply) - 1},
	}
	for n := range refused {
		var err error
		if refused[n].Message == "hello" {
			_, err = keys.Respond(v.Label, refused[n].apply(v.Hello))
		} else {
			_, err = i.Finish(refused[n].apply(v.Reply))
		}
		for name, is := range refusals {
			if errors.Is(err, is) {
				refused[n].Error = name
			}
		}
		if refused[n].Error == "" {
			t.Fatalf("%+v: %v", refused[n], err)
		}
	}
	return refused
}

// generateOnion makes cells for and from a route of all suites.
func generateOnion(t *testing.T) onionVector {
	v := onionVector{Size: 256, Offset: 1}
	for n, id := range Suites() {
		size := suiteOf(t, id).secretSize()
		v.Hops = append(v.Hops, hopVector{id.String(), counting(byte(0x40*n), 32), counting(byte(0x40*n+0x20), size)})
	}
	onion, relays := v.route(t)
	last := len(relays) - 1
	for _, c := range []struct {
		forward bool
		hop     int
		typ     byte
	}{
		{true, last, LayerLocal},
		{false, last, LayerLocal},
		{true, 1, LayerLocal},
		{false, 1, LayerDrop},
		{true, last, LayerDrop},
		{false, 0, LayerLocal},
		{false, last, 63},
	} {
		cell := cellVector{Type: c.typ, Content: make([]byte, ContentSize(v.Size, v.Offset+c.hop))}
		if c.forward {
			cell.To = &c.hop
			copy(cell.Content, fmt.Sprintf("to hop %d", c.hop))
		} else {
			cell.From = &c.hop
			copy(cell.Content, fmt.Sprintf("from hop %d", c.hop))
		}
		cell.Layers = v.run(t, onion, relays, cell)
		v.Cells = append(v.Cells, cell)
	}
	return v
}
