package tinker

import (
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Sizes of TK1's messages, in bytes.
const (
	// HelloOverhead is what a hello is longer than its payload.
	HelloOverhead = helloHeader + xwingEncSize + xwingPublicSize + tagSize
	// ReplySize is the length of a reply.
	ReplySize = xwingEncSize + tagSize

	helloHeader = 2 + 16 // suite, prekey
	tagSize     = 16
	secretSize  = 32
)

// A Recipient is whom a hello is for: an identity, the hash of what else both
// must agree on, and the prekey to use.
type Recipient struct {
	Identity [32]byte
	Binding  [32]byte
	Prekey   Prekey
}

// info is what the hello's encryption is bound to.
func (r Recipient) info(label string) []byte {
	h := sha256.New()
	h.Write([]byte("tinker hello v1\x00"))
	h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(label))))
	h.Write([]byte(label))
	h.Write(binary.BigEndian.AppendUint16(nil, uint16(r.Prekey.Suite)))
	h.Write(r.Identity[:])
	h.Write(r.Binding[:])
	h.Write(r.Prekey.Public)
	return h.Sum(nil)
}

// An Initiator is a handshake that waits for its reply.
type Initiator struct {
	suite     *suite
	ephemeral hpke.PrivateKey
	root      []byte   // the first secret's part of the session's root
	th        [32]byte // transcript up to the hello
	early     *Sealer
}

// Initiate makes a hello for the recipient that carries the payload. Both
// sides must use the same label, which names the protocol. The payload may be
// read by whoever gets the prekey's private half within its slot, and can be
// replayed to nobody: the responder takes a hello once.
func Initiate(to Recipient, label string, payload []byte) (*Initiator, []byte, error) {
	s, err := to.Prekey.Suite.suite()
	if err != nil {
		return nil, nil, err
	}
	if len(to.Prekey.Public) != s.publicSize {
		return nil, nil, fmt.Errorf("make a hello: %w", ErrPrekeyInvalid)
	}
	prekey, err := s.kem.NewPublicKey(to.Prekey.Public)
	if err != nil {
		return nil, nil, fmt.Errorf("make a hello: %w: %w", ErrPrekeyInvalid, err)
	}
	ephemeral, err := s.kem.GenerateKey()
	if err != nil {
		return nil, nil, fmt.Errorf("make a hello: %w", err)
	}
	info := to.info(label)
	enc, sender, err := hpke.NewSender(prekey, s.kdf, s.aead, info)
	if err != nil {
		return nil, nil, fmt.Errorf("make a hello: %w", err)
	}
	hello := make([]byte, 0, helloHeader+len(enc)+s.publicSize+len(payload)+tagSize)
	hello = binary.BigEndian.AppendUint16(hello, uint16(s.id))
	id := to.Prekey.ID()
	hello = append(hello, id[:]...)
	hello = append(hello, enc...)
	sealed, err := sender.Seal(hello[:helloHeader], append(ephemeral.PublicKey().Bytes(), payload...))
	if err != nil {
		return nil, nil, fmt.Errorf("make a hello: %w", err)
	}
	hello = append(hello, sealed...)
	first, err := deriveFirst(s, sender.Export, info, hello)
	if err != nil {
		return nil, nil, fmt.Errorf("make a hello: %w", err)
	}
	early, err := newSealer(s, first.early, first.th)
	if err != nil {
		return nil, nil, fmt.Errorf("make a hello: %w", err)
	}
	return &Initiator{suite: s, ephemeral: ephemeral, root: first.root, th: first.th, early: early}, hello, nil
}

// Early seals data that follows the hello before the reply is there. Every
// call returns the same Sealer. It has the hello's protection, not the
// session's.
func (i *Initiator) Early() *Sealer { return i.early }

// Finish reads the reply, verifies that the responder has the same keys, and
// returns the session. A reply that does not fit gives [ErrDecrypt].
func (i *Initiator) Finish(reply []byte) (*Session, error) {
	if len(reply) != i.suite.encSize+tagSize {
		return nil, fmt.Errorf("read the reply: %w: %d bytes, want %d", ErrDecrypt, len(reply), i.suite.encSize+tagSize)
	}
	enc, confirm := reply[:i.suite.encSize], reply[i.suite.encSize:]
	secret, err := hpke.NewRecipient(enc, i.ephemeral, i.suite.kdf, hpke.ExportOnly(), replyInfo(i.th))
	if err != nil {
		return nil, fmt.Errorf("read the reply: %w", ErrDecrypt)
	}
	keys, err := deriveSession(i.suite, secret.Export, i.root, i.th, enc)
	if err != nil {
		return nil, fmt.Errorf("read the reply: %w", err)
	}
	if err := keys.verify(i.suite, confirm); err != nil {
		return nil, fmt.Errorf("read the reply: %w", err)
	}
	clear(i.root)
	return keys.session(i.suite, true)
}

// A Response is what a responder gets out of a hello.
type Response struct {
	Payload []byte   // what the hello carried
	Early   *Opener  // opens what follows the hello before the reply arrived
	Reply   []byte   // to send back
	Session *Session // ready for use; its Recv opens what the initiator seals once it has the reply
}

// Respond opens a hello for one of the prekeys and answers it. The errors
// wrap [ErrTooShort], [ErrUnknownSuite], [ErrUnknownPrekey], [ErrReplay],
// [ErrFull], [ErrDecrypt] and [ErrClosed]. Until a message has opened with the
// session's Recv, the responder does not know that the initiator is there: the
// hello could have been sent by anyone who recorded it first.
func (p *Prekeys) Respond(label string, hello []byte) (*Response, error) {
	s, enc, sealed, found, err := p.parse(hello)
	if err != nil {
		return nil, fmt.Errorf("answer a hello: %w", err)
	}
	to := Recipient{Identity: p.config.Identity, Binding: p.config.Binding, Prekey: found.public}
	info := to.info(label)
	secret, err := hpke.NewRecipient(enc, found.private, s.kdf, s.aead, info)
	if err != nil {
		return nil, fmt.Errorf("answer a hello: %w", ErrDecrypt)
	}
	plain, err := secret.Open(hello[:helloHeader], sealed)
	if err != nil || len(plain) < s.publicSize {
		return nil, fmt.Errorf("answer a hello: %w", ErrDecrypt)
	}
	// Only a hello that opens is noted, so that strangers cannot fill the
	// memory of them.
	if err := p.take(found, enc); err != nil {
		return nil, fmt.Errorf("answer a hello: %w", err)
	}
	first, err := deriveFirst(s, secret.Export, info, hello)
	if err != nil {
		return nil, fmt.Errorf("answer a hello: %w", err)
	}
	r := &Response{Payload: plain[s.publicSize:]}
	if err := r.answer(s, first, plain[:s.publicSize]); err != nil {
		return nil, fmt.Errorf("answer a hello: %w", err)
	}
	return r, nil
}

// parse takes the hello apart and finds its prekey.
func (p *Prekeys) parse(hello []byte) (s *suite, enc, sealed []byte, found *slot, err error) {
	if len(hello) < helloHeader {
		return nil, nil, nil, nil, ErrTooShort
	}
	s, err = SuiteID(binary.BigEndian.Uint16(hello)).suite()
	if err != nil {
		return nil, nil, nil, nil, err
	}
	if len(hello) < helloHeader+s.encSize+s.publicSize+tagSize {
		return nil, nil, nil, nil, ErrTooShort
	}
	found, err = p.find(PrekeyID(hello[2:helloHeader]))
	if err != nil {
		return nil, nil, nil, nil, err
	}
	if found.public.Suite != s.id {
		return nil, nil, nil, nil, ErrUnknownPrekey
	}
	rest := hello[helloHeader:]
	return s, rest[:s.encSize], rest[s.encSize:], found, nil
}

// answer encapsulates to the initiator's ephemeral key and makes the session.
func (r *Response) answer(s *suite, first *firstKeys, ephemeral []byte) error {
	public, err := s.kem.NewPublicKey(ephemeral)
	if err != nil {
		return ErrDecrypt
	}
	enc, sender, err := hpke.NewSender(public, s.kdf, hpke.ExportOnly(), replyInfo(first.th))
	if err != nil {
		return err
	}
	keys, err := deriveSession(s, sender.Export, first.root, first.th, enc)
	if err != nil {
		return err
	}
	confirm, err := keys.confirmation(s)
	if err != nil {
		return err
	}
	r.Reply = append(enc, confirm...)
	if r.Early, err = newOpener(s, first.early, first.th); err != nil {
		return err
	}
	clear(first.root)
	r.Session, err = keys.session(s, false)
	return err
}

// firstKeys come from the hello alone.
type firstKeys struct {
	th          [32]byte
	early, root []byte
}

type exporter func(context string, length int) ([]byte, error)

func deriveFirst(s *suite, export exporter, info, hello []byte) (*firstKeys, error) {
	k := &firstKeys{th: transcript("tinker transcript hello v1", info, hello)}
	secret, err := export("tinker early v1", secretSize)
	if err != nil {
		return nil, err
	}
	if k.early, err = expand(s, secret, "tinker early chain v1", k.th, secretSize); err != nil {
		return nil, err
	}
	k.root, err = export("tinker root v1", secretSize)
	return k, err
}

func replyInfo(th [32]byte) []byte { return append([]byte("tinker reply v1\x00"), th[:]...) }

// sessionKeys come from hello and reply.
type sessionKeys struct {
	th                         [32]byte
	confirm, forward, backward []byte
}

func deriveSession(s *suite, export exporter, root []byte, th [32]byte, enc []byte) (*sessionKeys, error) {
	secret, err := export("tinker reply secret v1", secretSize)
	if err != nil {
		return nil, err
	}
	k := &sessionKeys{th: transcript("tinker transcript reply v1", th[:], enc)}
	rk, err := hkdf.Extract(sha256.New, secret, root)
	if err != nil {
		return nil, err
	}
	defer clear(rk)
	for _, d := range []struct {
		label string
		key   *[]byte
	}{
		{"tinker confirm v1", &k.confirm},
		{"tinker forward v1", &k.forward},
		{"tinker backward v1", &k.backward},
	} {
		if *d.key, err = expand(s, rk, d.label, k.th, secretSize); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// confirmation proves knowledge of the keys: the tag over the transcript under
// a key that is used for nothing else.
func (k *sessionKeys) confirmation(s *suite) ([]byte, error) {
	aead, err := s.newAEAD(k.confirm)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, make([]byte, aead.NonceSize()), nil, k.th[:]), nil
}

func (k *sessionKeys) verify(s *suite, confirm []byte) error {
	aead, err := s.newAEAD(k.confirm)
	if err != nil {
		return err
	}
	if _, err := aead.Open(nil, make([]byte, aead.NonceSize()), confirm, k.th[:]); err != nil {
		return ErrDecrypt
	}
	return nil
}

func (k *sessionKeys) session(s *suite, initiator bool) (*Session, error) {
	send, recv := k.forward, k.backward
	if !initiator {
		send, recv = recv, send
	}
	clear(k.confirm)
	sealer, err := newSealer(s, send, k.th)
	if err != nil {
		return nil, err
	}
	opener, err := newOpener(s, recv, k.th)
	if err != nil {
		return nil, err
	}
	return &Session{Send: sealer, Recv: opener, Transcript: k.th}, nil
}

// A Session is both directions of what a handshake set up.
type Session struct {
	Send *Sealer
	Recv *Opener
	// Transcript hashes everything that both sides sent and agreed on. A side
	// that signs it proves its identity to the other, for this session only.
	Transcript [32]byte
}

// transcript hashes two parts, each with its length.
func transcript(label string, a, b []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(label))
	h.Write([]byte{0})
	for _, part := range [][]byte{a, b} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	return [32]byte(h.Sum(nil))
}

// expand derives a key for one purpose, bound to suite and transcript.
func expand(s *suite, secret []byte, label string, th [32]byte, size int) ([]byte, error) {
	info := append([]byte(label), 0)
	info = binary.BigEndian.AppendUint16(info, uint16(s.id))
	return hkdf.Expand(sha256.New, secret, string(append(info, th[:]...)), size)
}
