package tinker

import (
	"bytes"
	"crypto/hpke"
	"errors"
	"testing"
	"time"
)

func (v handshakeVector) check(t *testing.T) {
	s := suiteNamed(t, v.Suite)
	keys := v.prekeys(t)
	same(t, "prekey's public half", keys.slots[0].public.Public, v.PrekeyPublic)
	same(t, "prekey's ID", keys.slots[0].id[:], v.PrekeyID)
	v.checkHello(t, keys)
	i := v.initiator(t)
	v.checkRefused(t, keys, i)
	a, err := i.Finish(v.Reply)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "transcript", a.Transcript[:], v.Transcript)
	same(t, "root's share in the next one", a.next, referenceNext(s.id, v.Root, v.Transcript))
	b := sessionOf(t, s, v.Transcript, v.Root, false)
	r := v.checkReference(t)
	for n, m := range v.Messages {
		m.check(t, n, a, b, r)
	}
	for _, step := range v.Steps {
		step.check(t, a, b, r)
	}
}

// prekeys are the responder's, with the vector's alone.
func (v handshakeVector) prekeys(t testing.TB) *Prekeys {
	t.Helper()
	s := suiteNamed(t, v.Suite)
	now := time.Now()
	public := Prekey{Suite: s.id, Public: v.PrekeyPublic, NotBefore: now.Unix(), NotAfter: now.Add(2 * DefaultSlot).Unix()}
	private := privateKey(t, s, v.PrekeyPrivate)
	public.Public = private.PublicKey().Bytes()
	return &Prekeys{
		config: PrekeyConfig{
			Suite: s.id, Identity: [32]byte(v.Identity), Binding: [32]byte(v.Binding), Now: time.Now,
			Slot: DefaultSlot, Grace: DefaultGrace, ReplayLimit: DefaultReplayLimit,
		},
		suite: s,
		slots: []*slot{{public: public, id: public.ID(), private: private, seen: make(map[[16]byte]struct{})}},
	}
}

func privateKey(t testing.TB, s *suite, seed []byte) hpke.PrivateKey {
	t.Helper()
	key, err := s.kem.NewPrivateKey(seed)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// openHello derives the first keys as Respond does, which keeps them to itself.
// It returns what the hello holds, too.
func (v handshakeVector) openHello(t testing.TB) (*firstKeys, []byte) {
	t.Helper()
	s := suiteNamed(t, v.Suite)
	rest := v.Hello[helloHeader:]
	secret, err := hpke.NewRecipient(rest[:s.encSize], privateKey(t, s, v.PrekeyPrivate), s.kdf, s.aead, v.HelloInfo)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := secret.Open(v.Hello[:helloHeader], rest[s.encSize:])
	if err != nil {
		t.Fatal(err)
	}
	first, err := deriveFirst(s, secret.Export, v.HelloInfo, v.Hello)
	if err != nil {
		t.Fatal(err)
	}
	return first, plain
}

func (v handshakeVector) checkHello(t *testing.T, keys *Prekeys) {
	t.Helper()
	if id, err := HelloSuite(v.Hello); err != nil || id.String() != v.Suite {
		t.Errorf("the hello's suite: %v, %v", id, err)
	}
	r, err := keys.Respond(v.Label, v.Hello)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "payload", r.Payload, v.Payload)
	first, plain := v.openHello(t)
	same(t, "what the hello holds", plain, append(bytes.Clone(v.EphemeralPublic), v.Payload...))
	same(t, "hello's transcript", first.th[:], v.HelloTranscript)
	same(t, "early secret", first.early, v.EarlySecret)
	same(t, "hello's root", first.root, v.HelloRoot)
	sealer, err := newSealer(suiteNamed(t, v.Suite), first.early, first.th)
	if err != nil {
		t.Fatal(err)
	}
	for n, m := range v.Early {
		same(t, "early message", seal(t, sealer, m.Content, m.Type), m.Sealed)
		typ, content, err := r.Early.Open(bytes.Clone(m.Sealed))
		if err != nil || typ != m.Type || !bytes.Equal(content, m.Content) || m.From != fromInitiator {
			t.Errorf("early message %d: type %d, %q, %v", n, typ, content, err)
		}
	}
}

// initiator is the one that waits for the vector's reply.
func (v handshakeVector) initiator(t testing.TB) *Initiator {
	t.Helper()
	s := suiteNamed(t, v.Suite)
	first := &firstKeys{th: [32]byte(v.HelloTranscript), root: bytes.Clone(v.HelloRoot)}
	i := &Initiator{suite: s, ephemeral: privateKey(t, s, v.EphemeralPrivate), first: first}
	same(t, "ephemeral public key", i.ephemeral.PublicKey().Bytes(), v.EphemeralPublic)
	return i
}

func (v handshakeVector) checkRefused(t *testing.T, keys *Prekeys, i *Initiator) {
	t.Helper()
	for _, r := range v.Refused {
		var err error
		switch r.Message {
		case "hello":
			_, err = keys.Respond(v.Label, r.apply(v.Hello))
		case "reply":
			_, err = i.Finish(r.apply(v.Reply))
		}
		if want := refusals[r.Error]; want == nil || !errors.Is(err, want) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// sessionOf is a side of a session whose handshake is over.
func sessionOf(t testing.TB, s *suite, th, root []byte, initiator bool) *Session {
	t.Helper()
	k := &sessionKeys{suite: s, th: [32]byte(th), root: bytes.Clone(root)}
	made, err := k.session(initiator)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// check seals and opens a message that does not ratchet.
func (m messageVector) check(t *testing.T, n int, a, b *Session, r *reference) {
	t.Helper()
	s, o := a.Send, b.Recv
	if m.From == fromResponder {
		s, o = b.Send, a.Recv
	}
	if m.Step {
		s.since = time.Now().Add(-stepTime)
	}
	same(t, "sealed", seal(t, s, m.Content, m.Type), m.Sealed)
	m.checkOpen(t, n, o, r, nil, nil)
}

// checkOpen opens a message with the reference, too.
func (m messageVector) checkOpen(t *testing.T, n int, o *Opener, r *reference, offer []byte, private hpke.PrivateKey) {
	t.Helper()
	var want []byte
	var err error
	if m.From == fromInitiator {
		want, err = r.openForward(m.Sealed)
	} else {
		want, err = r.openBackward(m.Sealed, offer, private)
	}
	if err != nil {
		t.Fatalf("message %d: %v", n, err)
	}
	plain, err := o.open(nil, m.Sealed)
	if err != nil {
		t.Fatalf("message %d: %v", n, err)
	}
	head := m.Type
	if m.Step {
		head |= typeStep
	}
	if m.Ratchet {
		head |= typeRatchet
	}
	same(t, "opened", plain, append([]byte{head}, m.Content...))
	same(t, "the reference's", want, plain)
}

// check takes the initiator through the step, with the offer's private key. The
// responder's encapsulation was random: its chains come from the vector's root.
func (v stepVector) check(t *testing.T, a, b *Session, r *reference) {
	t.Helper()
	to := suiteNamed(t, v.Suite)
	private := privateKey(t, to, v.OfferPrivate)
	if parsed, public, err := parseOffer(v.Offer); err != nil || parsed.id != to.id || !bytes.Equal(public.Bytes(), private.PublicKey().Bytes()) {
		t.Errorf("the offer: %v", err)
	}
	a.offer = &offer{suite: to, private: private, message: v.Offer}
	forward, backward, _, err := chains(to, bytes.Clone(v.Root), [32]byte(v.Transcript))
	if err != nil {
		t.Fatal(err)
	}
	b.Recv.ahead = forward
	answer, last := &Step{Message: v.Accept, by: b.Send, send: backward}, (*Step)(nil)
	for n, m := range v.Messages {
		switch {
		case !m.Ratchet:
			m.check(t, n, a, b, r)
		case m.From == fromResponder:
			same(t, "sealed answer", sealStep(t, b.Send, m, answer), m.Sealed)
			m.checkOpen(t, n, a.Recv, r, v.Offer, private)
			if last, err = a.Complete(v.Accept); err != nil {
				t.Fatal(err)
			}
		default:
			same(t, "sealed last", sealStep(t, a.Send, m, last), m.Sealed)
			m.checkOpen(t, n, b.Recv, r, nil, nil)
		}
	}
	same(t, "transcript", a.th[:], v.Transcript)
	same(t, "root's share in the next one", a.next, referenceNext(to.id, v.Root, v.Transcript))
	same(t, "the reference's root", r.root, v.Root)
	if a.Suite() != to.id || r.suite != to.id {
		t.Errorf("the step went to %v", a.Suite())
	}
}

func sealStep(t *testing.T, s *Sealer, m messageVector, step *Step) []byte {
	t.Helper()
	sealed, err := s.SealStepTo(nil, m.Content, m.Type, step)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func (v onionVector) check(t *testing.T) {
	onion, relays := v.route(t)
	for n, c := range v.Cells {
		for i, layer := range v.run(t, onion, relays, c) {
			if !bytes.Equal(layer, c.Layers[i]) {
				t.Errorf("cell %d, layer %d: %x, want %x", n, i, layer, c.Layers[i])
			}
		}
	}
}

func (v onionVector) route(t *testing.T) (*Onion, []*Relay) {
	t.Helper()
	onion := NewOnion(v.Size, v.Offset, nil)
	var relays []*Relay
	for i, h := range v.Hops {
		s := suiteNamed(t, h.Suite)
		onion.Add(sessionOf(t, s, h.Transcript, h.Root, true))
		relays = append(relays, NewRelay(sessionOf(t, s, h.Transcript, h.Root, false), v.Size, v.Offset+i, nil))
	}
	return onion, relays
}

// run takes a cell over the route and returns its layers.
func (v onionVector) run(t *testing.T, onion *Onion, relays []*Relay, c cellVector) []hexBytes {
	t.Helper()
	if c.From != nil {
		return v.backward(t, onion, relays, c, *c.From)
	}
	hop := *c.To
	payload := make([]byte, v.Size)
	copy(payload[hop+1:], c.Content)
	if err := onion.SealFor(hop, payload, c.Type, nil); err != nil {
		t.Fatal(err)
	}
	var layers []hexBytes
	for i := range hop + 1 {
		layers = append(layers, bytes.Clone(payload[:LayerSize(v.Size, v.Offset+i)]))
		dst := make([]byte, 1+v.Size)
		typ, content, err := relays[i].Open(dst, payload)
		switch {
		case err != nil:
			t.Fatal(err)
		case i == hop && (typ != c.Type || !bytes.Equal(content, c.Content)):
			t.Errorf("the hop opened type %d, %x", typ, content)
		case i < hop && typ != LayerRelay:
			t.Errorf("hop %d opened type %d", i, typ)
		}
		payload = dst[1:]
	}
	return layers
}

func (v onionVector) backward(t *testing.T, onion *Onion, relays []*Relay, c cellVector, hop int) []hexBytes {
	t.Helper()
	payload := make([]byte, v.Size)
	copy(payload[1:], c.Content)
	if err := relays[hop].SealOwn(payload, c.Type, nil); err != nil {
		t.Fatal(err)
	}
	layers := make([]hexBytes, hop+1)
	for i := hop; ; i-- {
		layers[i] = bytes.Clone(payload[:LayerSize(v.Size, v.Offset+i)])
		if i == 0 {
			break
		}
		next := make([]byte, v.Size)
		if err := relays[i-1].Seal(next, payload); err != nil {
			t.Fatal(err)
		}
		payload = next
	}
	o, err := onion.Open(payload)
	if err != nil || o.Hop != hop || o.Type != c.Type || !bytes.Equal(o.Content, c.Content) {
		t.Errorf("opened hop %d, type %d, %x, %v", o.Hop, o.Type, o.Content, err)
	}
	return layers
}

func (v retryVector) check(t *testing.T) {
	reply, err := Retry(v.Descriptor)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "retry", reply, v.Reply)
	i := &Initiator{suite: suiteOf(t, TK1)}
	split, rest, err := i.SplitReply(append(bytes.Clone(v.Reply), "rest"...))
	if err != nil || !bytes.Equal(split, v.Reply) || string(rest) != "rest" {
		t.Errorf("split into %x and %q, %v", split, rest, err)
	}
	var retry *RetryError
	if _, err := i.Finish(split); !errors.As(err, &retry) || !bytes.Equal(retry.Descriptor, v.Descriptor) {
		t.Errorf("finish: %v", err)
	}
}
