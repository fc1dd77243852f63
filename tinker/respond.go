package tinker

import (
	"crypto/hpke"
	"encoding/binary"
	"fmt"
)

// A Response is what a responder gets out of a hello.
type Response struct {
	Payload []byte   // what the hello carried
	Early   *Opener  // opens what follows the hello before the reply arrived
	Reply   []byte   // to send back
	Session *Session // ready for use; its Recv opens what the initiator seals once it has the reply
}

// HelloSuite returns the suite that a hello was made with, so that a responder
// with prekeys of several suites knows whom to ask. The errors wrap
// [ErrTooShort] and [ErrUnknownSuite].
func HelloSuite(hello []byte) (SuiteID, error) {
	if len(hello) < helloHeader {
		return 0, ErrTooShort
	}
	s, err := SuiteID(binary.BigEndian.Uint16(hello)).suite()
	if err != nil {
		return 0, err
	}
	return s.id, nil
}

// Respond opens a hello for one of the prekeys and answers it. The errors
// wrap [ErrTooShort], [ErrUnknownSuite], [ErrSuiteRefused], [ErrUnknownPrekey],
// [ErrReplay], [ErrFull], [ErrDecrypt] and [ErrClosed]. Until a message has
// opened with the session's Recv, the responder does not know that the
// initiator is there: the hello could have been sent by anyone who recorded it
// first.
func (p *Prekeys) Respond(label string, hello []byte) (*Response, error) {
	r, err := p.respond(label, hello)
	if err != nil {
		return nil, fmt.Errorf("answer a hello: %w", err)
	}
	return r, nil
}

func (p *Prekeys) respond(label string, hello []byte) (*Response, error) {
	s, enc, sealed, found, err := p.parse(hello)
	if err != nil {
		return nil, err
	}
	to := Recipient{Identity: p.config.Identity, Binding: p.config.Binding, Prekey: found.public}
	info := to.info(s, label)
	secret, err := hpke.NewRecipient(enc, found.private, s.kdf, s.aead, info)
	if err != nil {
		return nil, ErrDecrypt
	}
	plain, err := secret.Open(hello[:helloHeader], sealed)
	if err != nil || len(plain) < s.publicSize {
		return nil, ErrDecrypt
	}
	// Only a hello that opens is noted, so that what was not made for this
	// prekey uses up nothing.
	if err := p.take(found, enc); err != nil {
		return nil, err
	}
	first, err := deriveFirst(s, secret.Export, info, hello)
	if err != nil {
		return nil, err
	}
	r := &Response{Payload: plain[s.publicSize:]}
	return r, r.answer(s, first, plain[:s.publicSize])
}

// parse takes the hello apart and finds its prekey.
func (p *Prekeys) parse(hello []byte) (s *suite, enc, sealed []byte, found *slot, err error) {
	id, err := HelloSuite(hello)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	if id != p.suite.id {
		return nil, nil, nil, nil, ErrUnknownPrekey
	}
	if p.config.Check != nil {
		if err := p.config.Check(id); err != nil {
			return nil, nil, nil, nil, fmt.Errorf("%w: %v: %w", ErrSuiteRefused, id, err)
		}
	}
	s = p.suite
	if len(hello) < id.HelloOverhead() {
		return nil, nil, nil, nil, ErrTooShort
	}
	found, err = p.find(PrekeyID(hello[2:helloHeader]))
	if err != nil {
		return nil, nil, nil, nil, err
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
		return ErrDecrypt
	}
	keys, err := deriveSession(s, sender.Export, first, enc)
	if err != nil {
		return err
	}
	clear(first.root)
	confirm, err := keys.confirmation()
	if err != nil {
		return err
	}
	r.Reply = append(append([]byte{replyAccept}, enc...), confirm...)
	if r.Early, err = newOpener(s, first.early, first.th); err != nil {
		return err
	}
	r.Session, err = keys.session(false)
	return err
}
