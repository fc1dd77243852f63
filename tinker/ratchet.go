package tinker

import (
	"crypto/hpke"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
)

// Errors of a step of the ratchet.
var (
	// ErrStepUnderWay: the last step is not complete yet.
	ErrStepUnderWay = errors.New("a step of the ratchet is under way")
	// ErrNoOffer: an offer is made by the initiator, and accepted once.
	ErrNoOffer = errors.New("no offer waits for this side")
	// ErrSuiteRefused: the responder does not step to the suite.
	ErrSuiteRefused = errors.New("suite is refused")
	// ErrOtherStep: the step is to be sealed by the session that it belongs to.
	ErrOtherStep = errors.New("step of the ratchet belongs to another session")
)

const offerHeader = 2 // suite

// A Session is both directions of what a handshake set up, and the ratchet
// that renews them:
//
//	initiator                                 responder
//	Offer(suite)
//	    ── sealed: OFFER ───────────────────►  Accept(offer) = step
//	    ◄──────────── SealStep(ACCEPT, step) ─
//	Complete(accept) = step
//	    ── SealStep(anything, step) ────────►
//
// Accept and Complete belong to the goroutine that uses Recv. Offer may be
// called by another, but not at the same time as Complete. Send may be used by
// a third, to which the step is handed.
type Session struct {
	Send *Sealer
	Recv *Opener
	// Transcript hashes everything that both sides sent and agreed on in the
	// handshake. A side that signs it proves its identity to the other, for
	// this session only.
	Transcript [32]byte

	suite     *suite
	initiator bool
	next      []byte   // the last root's share in the next one
	th        [32]byte // the transcript with all steps
	offer     *offer   // the initiator's that waits
	step      *Step    // the last one
	closed    bool
}

// An offer waits for its answer.
type offer struct {
	suite   *suite
	private hpke.PrivateKey
	message []byte
}

// A Step is one side's part of a step of the ratchet, to give to
// [Sealer.SealStep].
type Step struct {
	// Message is the responder's ACCEPT, which it has to send as the content
	// of the message that it seals with the step. The initiator's is empty.
	Message []byte

	by     *Sealer // whose chain is replaced
	send   *chain
	sealed atomic.Bool
}

// Suite returns the suite of the session's last step, or of its handshake.
func (s *Session) Suite() SuiteID { return s.suite.id }

// Limit replaces the limits. It must be called before the session is used.
func (s *Session) Limit(l Limits) { s.Send.limits, s.Recv.limits = l, l }

// Close forgets all keys, also those of a step under way. Nobody may use the
// session meanwhile; afterwards everything returns [ErrClosed].
func (s *Session) Close() {
	s.Send.Close()
	s.Recv.Close()
	if s.underWay() {
		s.step.send.erase()
	}
	clear(s.next)
	s.next, s.offer, s.step, s.closed = nil, nil, nil, true
}

// Offer begins a step to the suite, which may be another one than before. The
// result is to be sent to the responder in a message of its own. Only the
// initiator offers. The errors wrap [ErrNoOffer], [ErrStepUnderWay],
// [ErrUnknownSuite] and [ErrClosed].
func (s *Session) Offer(id SuiteID) ([]byte, error) {
	if s.closed {
		return nil, fmt.Errorf("offer a step: %w", ErrClosed)
	}
	if !s.initiator {
		return nil, fmt.Errorf("offer a step: %w: only the initiator offers", ErrNoOffer)
	}
	if s.offer != nil || s.underWay() {
		return nil, fmt.Errorf("offer a step: %w", ErrStepUnderWay)
	}
	to, err := id.suite()
	if err != nil {
		return nil, fmt.Errorf("offer a step: %w", err)
	}
	private, err := to.kem.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("offer a step: %w", err)
	}
	message := binary.BigEndian.AppendUint16(nil, uint16(id))
	message = append(message, private.PublicKey().Bytes()...)
	s.offer = &offer{suite: to, private: private, message: message}
	return message, nil
}

// underWay says whether this side has not sealed its part of the last step.
func (s *Session) underWay() bool { return s.step != nil && !s.step.sealed.Load() }

// Accept answers an offer. check says whether the session may go from one
// suite to the other; if it is nil, only a step within the suite is accepted.
// The errors wrap [ErrNoOffer], [ErrStepUnderWay], [ErrUnknownSuite],
// [ErrSuiteRefused], [ErrDecrypt] and [ErrClosed]; after one, the session must
// be ended.
func (s *Session) Accept(message []byte, check func(from, to SuiteID) error) (*Step, error) {
	if s.closed {
		return nil, fmt.Errorf("accept a step: %w", ErrClosed)
	}
	if s.initiator {
		return nil, fmt.Errorf("accept a step: %w: only the responder accepts", ErrNoOffer)
	}
	if s.underWay() || s.Recv.ahead != nil {
		return nil, fmt.Errorf("accept a step: %w", ErrStepUnderWay)
	}
	to, public, err := parseOffer(message)
	if err != nil {
		return nil, fmt.Errorf("accept a step: %w", err)
	}
	if err := s.permit(to.id, check); err != nil {
		return nil, fmt.Errorf("accept a step: %w", err)
	}
	enc, secret, err := hpke.NewSender(public, to.kdf, hpke.ExportOnly(), s.stepInfo(message))
	if err != nil {
		return nil, fmt.Errorf("accept a step: %w: %w", ErrDecrypt, err)
	}
	forward, backward, err := s.advance(to, secret.Export, message, enc)
	if err != nil {
		return nil, fmt.Errorf("accept a step: %w", err)
	}
	s.Recv.ahead = forward
	s.step = &Step{Message: enc, by: s.Send, send: backward}
	return s.step, nil
}

func parseOffer(message []byte) (*suite, hpke.PublicKey, error) {
	if len(message) < offerHeader {
		return nil, nil, fmt.Errorf("%w: offer of %d bytes", ErrTooShort, len(message))
	}
	to, err := SuiteID(binary.BigEndian.Uint16(message)).suite()
	if err != nil {
		return nil, nil, err
	}
	if len(message) != offerHeader+to.publicSize {
		return nil, nil, fmt.Errorf("%w: offer of %d bytes", ErrDecrypt, len(message))
	}
	public, err := to.kem.NewPublicKey(message[offerHeader:])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrDecrypt, err)
	}
	return to, public, nil
}

func (s *Session) permit(to SuiteID, check func(from, to SuiteID) error) error {
	if check == nil {
		if to != s.suite.id {
			return fmt.Errorf("%w: %v, this session stays with %v", ErrSuiteRefused, to, s.suite.id)
		}
		return nil
	}
	if err := check(s.suite.id, to); err != nil {
		return fmt.Errorf("%w: from %v to %v: %w", ErrSuiteRefused, s.suite.id, to, err)
	}
	return nil
}

// Complete reads the responder's ACCEPT, which was the content of the last
// message that Recv opened. The errors wrap [ErrNoOffer], [ErrDecrypt] and
// [ErrClosed]; after one, the session must be ended. A message that was altered is noticed
// with the next one that Recv opens.
func (s *Session) Complete(accept []byte) (*Step, error) {
	if s.closed {
		return nil, fmt.Errorf("complete a step: %w", ErrClosed)
	}
	if s.offer == nil || !s.Recv.held {
		return nil, fmt.Errorf("complete a step: %w", ErrNoOffer)
	}
	o := s.offer
	if len(accept) != o.suite.encSize {
		return nil, fmt.Errorf("complete a step: %w: %d bytes, want %d", ErrDecrypt, len(accept), o.suite.encSize)
	}
	secret, err := hpke.NewRecipient(accept, o.private, o.suite.kdf, hpke.ExportOnly(), s.stepInfo(o.message))
	if err != nil {
		return nil, fmt.Errorf("complete a step: %w", ErrDecrypt)
	}
	forward, backward, err := s.advance(o.suite, secret.Export, o.message, accept)
	if err != nil {
		return nil, fmt.Errorf("complete a step: %w", err)
	}
	s.offer = nil
	s.Recv.replace(backward)
	s.Recv.held = false
	s.step = &Step{by: s.Send, send: forward}
	return s.step, nil
}

// stepInfo binds the encapsulation to all that was before, and to the offer.
func (s *Session) stepInfo(offer []byte) []byte {
	info := append([]byte("tinker ratchet v1\x00"), s.th[:]...)
	return append(info, offer[:offerHeader]...)
}

// PutStep writes an OFFER or an ACCEPT, or no message, as the content of a
// layer of type [LayerStep]. It panics when content has no room for it.
func PutStep(content, message []byte) {
	binary.BigEndian.PutUint16(content, uint16(len(message)))
	clear(content[2+copy(content[2:2+len(message)], message):])
}

// ParseStep reads what PutStep wrote. The error wraps [ErrTooShort].
func ParseStep(content []byte) (message []byte, err error) {
	if len(content) < 2 || int(binary.BigEndian.Uint16(content)) > len(content)-2 {
		return nil, fmt.Errorf("read a step of the ratchet: %w", ErrTooShort)
	}
	return content[2 : 2+binary.BigEndian.Uint16(content)], nil
}

// advance makes the next root's two chains, and forgets all that leads to the
// last one's.
func (s *Session) advance(to *suite, export exporter, offer, enc []byte) (forward, backward *chain, err error) {
	secret, err := export("tinker ratchet secret v1", to.secretSize())
	if err != nil {
		return nil, nil, err
	}
	th := to.digest("tinker transcript ratchet v1", s.th[:], offer, enc)
	root, err := to.extract(secret, s.next)
	if err != nil {
		return nil, nil, err
	}
	forward, backward, next, err := chains(to, root, th)
	if err != nil {
		return nil, nil, err
	}
	clear(s.next)
	s.suite, s.next, s.th = to, next, th
	return forward, backward, nil
}
