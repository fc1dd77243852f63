package tinker

import (
	"crypto/hpke"
	"encoding/binary"
	"fmt"
)

const (
	helloHeader = 2 + 16 // suite, prekey
	replyHeader = 1      // kind
	retryHeader = 1 + 2  // kind, length
	tagSize     = 16
	aeadKeySize = 32

	// Kinds of reply.
	replyAccept = 1
	replyRetry  = 2
)

// A Recipient is whom a hello is for: an identity, the hash of what else both
// must agree on, and the prekey to use.
type Recipient struct {
	Identity [32]byte
	Binding  [32]byte
	Prekey   Prekey
}

// info is what the hello's encryption is bound to.
func (r Recipient) info(s *suite, label string) []byte {
	id := binary.BigEndian.AppendUint16(nil, uint16(s.id))
	sum := s.digest("tinker hello v1", []byte(label), id, r.Identity[:], r.Binding[:], r.Prekey.Public)
	return sum[:]
}

// An Initiator is a handshake that waits for its reply.
type Initiator struct {
	suite     *suite
	ephemeral hpke.PrivateKey
	first     *firstKeys
	early     *Sealer
}

// Initiate makes a hello for the recipient that carries the payload. Both
// sides must use the same label, which names the protocol. The payload may be
// read by whoever gets the prekey's private half within its slot, and can be
// replayed to nobody: the responder takes a hello once.
func Initiate(to Recipient, label string, payload []byte) (*Initiator, []byte, error) {
	i, hello, err := initiate(to, label, payload)
	if err != nil {
		return nil, nil, fmt.Errorf("make a hello: %w", err)
	}
	return i, hello, nil
}

func initiate(to Recipient, label string, payload []byte) (*Initiator, []byte, error) {
	s, err := to.Prekey.Suite.suite()
	if err != nil {
		return nil, nil, err
	}
	if len(to.Prekey.Public) != s.publicSize {
		return nil, nil, ErrPrekeyInvalid
	}
	prekey, err := s.kem.NewPublicKey(to.Prekey.Public)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrPrekeyInvalid, err)
	}
	ephemeral, err := s.kem.GenerateKey()
	if err != nil {
		return nil, nil, err
	}
	info := to.info(s, label)
	enc, sender, err := hpke.NewSender(prekey, s.kdf, s.aead, info)
	if err != nil {
		return nil, nil, err
	}
	hello := make([]byte, 0, helloHeader+len(enc)+s.publicSize+len(payload)+tagSize)
	hello = binary.BigEndian.AppendUint16(hello, uint16(s.id))
	id := to.Prekey.ID()
	hello = append(hello, id[:]...)
	hello = append(hello, enc...)
	sealed, err := sender.Seal(hello[:helloHeader], append(ephemeral.PublicKey().Bytes(), payload...))
	if err != nil {
		return nil, nil, err
	}
	hello = append(hello, sealed...)
	first, err := deriveFirst(s, sender.Export, info, hello)
	if err != nil {
		return nil, nil, err
	}
	early, err := newSealer(s, first.early, first.th)
	if err != nil {
		return nil, nil, err
	}
	return &Initiator{suite: s, ephemeral: ephemeral, first: first, early: early}, hello, nil
}

// Suite returns the suite of the hello.
func (i *Initiator) Suite() SuiteID { return i.suite.id }

// Early seals data that follows the hello before the reply is there. Every
// call returns the same Sealer. It has the hello's protection, not the
// session's.
func (i *Initiator) Early() *Sealer { return i.early }

// Close forgets all keys that are not a session's yet, those of Early too.
// Nobody may use the initiator or its sealer meanwhile.
func (i *Initiator) Close() {
	clear(i.first.root)
	i.early.Close()
	i.ephemeral = nil
}

// Finish reads the reply, verifies that the responder has the same keys, and
// returns the session. A reply that does not fit gives [ErrDecrypt]; one that
// sends the initiator back with another descriptor gives a [*RetryError].
// After an error, Finish may be called again, with another reply. After Close
// the error is [ErrClosed].
func (i *Initiator) Finish(reply []byte) (*Session, error) {
	if err := parseRetry(reply); err != nil {
		return nil, fmt.Errorf("read the reply: %w", err)
	}
	if i.ephemeral == nil {
		return nil, fmt.Errorf("read the reply: %w", ErrClosed)
	}
	if len(reply) != i.suite.id.ReplySize() || reply[0] != replyAccept {
		return nil, fmt.Errorf("read the reply: %w: %d bytes, want %d", ErrDecrypt, len(reply), i.suite.id.ReplySize())
	}
	enc, confirm := reply[replyHeader:replyHeader+i.suite.encSize], reply[replyHeader+i.suite.encSize:]
	secret, err := hpke.NewRecipient(enc, i.ephemeral, i.suite.kdf, hpke.ExportOnly(), replyInfo(i.first.th))
	if err != nil {
		return nil, fmt.Errorf("read the reply: %w", ErrDecrypt)
	}
	keys, err := deriveSession(i.suite, secret.Export, i.first, enc)
	if err != nil {
		return nil, fmt.Errorf("read the reply: %w", err)
	}
	if err := keys.verify(confirm); err != nil {
		return nil, fmt.Errorf("read the reply: %w", err)
	}
	clear(i.first.root)
	return keys.session(true)
}
