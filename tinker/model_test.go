package tinker

import (
	"bytes"
	"crypto/hpke"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

const (
	typeOffer  = 60
	typeAccept = 61
)

// A machine is a session over two ordered wires, watched by the reference. The
// reference's parts of a message are compared when it arrives.
type machine struct {
	t                 *rapid.T
	a, b              *Session
	reference         *reference
	forward, backward wire
	offer             []byte
	private           hpke.PrivateKey
	dead              bool // something was lost, replayed, or came too late
	steps             int
}

type wire struct {
	waiting [][]byte // messages on the way, first first
	past    [][]byte // delivered
	broken  bool     // what is delivered next is not what the sender sent
}

func (w *wire) next(t *rapid.T) []byte {
	if len(w.waiting) == 0 {
		t.Skip("nothing is on the way")
	}
	m := w.waiting[0]
	w.waiting = w.waiting[1:]
	w.past = append(w.past, bytes.Clone(m))
	return m
}

// expired notes that a limit was reached, which the limits must agree with.
func (m *machine) expired(err error, s *Session) bool {
	if err == nil {
		return false
	}
	if now := time.Now(); err != ErrExpired || !s.Send.expired(now, 3*unitSize) && !s.Recv.expired(now, 3*unitSize) {
		m.t.Fatalf("%v, and no limit was reached", err)
	}
	m.dead = true
	return true
}

func (m *machine) send(s *Session, w *wire, content []byte, typ byte, step *Step) {
	var sealed []byte
	var err error
	if step != nil {
		sealed, err = s.Send.SealStepTo(nil, content, typ, step)
	} else {
		sealed, err = s.Send.SealTo(nil, content, typ)
	}
	if !m.expired(err, s) {
		w.waiting = append(w.waiting, sealed)
	}
}

// SendForward and its like are what may happen at any time.
func (m *machine) SendForward(t *rapid.T) {
	m.send(m.a, &m.forward, content(t), byte(rapid.IntRange(0, 59).Draw(t, "type")), nil)
}

func (m *machine) SendBackward(t *rapid.T) {
	m.send(m.b, &m.backward, content(t), byte(rapid.IntRange(0, 59).Draw(t, "type")), nil)
}

func content(t *rapid.T) []byte {
	return bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, rapid.IntRange(0, 3*unitSize-LayerOverhead).Draw(t, "size"))
}

func (m *machine) Offer(t *rapid.T) {
	offer, err := m.a.Offer(rapid.SampledFrom(Suites()).Draw(t, "suite"))
	if err != nil {
		t.Skip(err)
	}
	m.offer, m.private = offer, m.a.offer.private
	m.send(m.a, &m.forward, offer, typeOffer, nil)
}

func (m *machine) DeliverForward(t *rapid.T) {
	sealed := m.forward.next(t)
	want, refused := m.reference.openForward(bytes.Clone(sealed))
	typ, content, err := m.b.Recv.Open(sealed)
	if !m.compare(m.b, want, refused, typ, content, err) || typ != typeOffer {
		return
	}
	step, err := m.b.Accept(content, func(SuiteID, SuiteID) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	m.send(m.b, &m.backward, step.Message, typeAccept, step)
}

func (m *machine) DeliverBackward(t *rapid.T) {
	sealed := m.backward.next(t)
	want, refused := m.reference.openBackward(bytes.Clone(sealed), m.offer, m.private)
	typ, content, err := m.a.Recv.Open(sealed)
	if !m.compare(m.a, want, refused, typ, content, err) || typ != typeAccept {
		return
	}
	step, err := m.a.Complete(content)
	if err != nil {
		t.Fatal(err)
	}
	m.steps++
	m.send(m.a, &m.forward, nil, 1, step)
}

// DeliverAll delivers until nothing is on the way.
func (m *machine) DeliverAll(t *rapid.T) {
	for !m.dead && len(m.forward.waiting)+len(m.backward.waiting) > 0 {
		if len(m.forward.waiting) > 0 {
			m.DeliverForward(t)
		}
		if len(m.backward.waiting) > 0 && !m.dead {
			m.DeliverBackward(t)
		}
	}
}

// SendMany sends enough for a chain to step.
func (m *machine) SendMany(t *rapid.T) {
	for range rapid.IntRange(1, stepUnits).Draw(t, "messages") {
		if m.dead {
			return
		}
		m.send(m.a, &m.forward, []byte{1}, 1, nil)
		m.send(m.b, &m.backward, []byte{2}, 2, nil)
	}
}

// compare says whether the message arrived, and fails when the session and the
// reference don't agree on that.
func (m *machine) compare(s *Session, want []byte, refused error, typ byte, content []byte, err error) bool {
	if err == ErrExpired {
		m.expired(err, s)
		return false
	}
	if (err != nil) != (refused != nil) {
		m.t.Fatalf("the session says %v, the reference %v", err, refused)
	}
	if err != nil {
		if !m.forward.broken && !m.backward.broken {
			m.t.Fatal("a message that was not touched does not open")
		}
		m.dead = true
		return false
	}
	if typ != want[0]&MaxType || !bytes.Equal(content, want[1:]) {
		m.t.Fatalf("type %d with %d bytes, the reference has type %d with %d", typ, len(content), want[0]&MaxType, len(want)-1)
	}
	return true
}

// LoseForward loses a message: what follows must not open.
func (m *machine) LoseForward(t *rapid.T) { m.lose(t, &m.forward) }

// LoseBackward loses one on the way back.
func (m *machine) LoseBackward(t *rapid.T) { m.lose(t, &m.backward) }

func (m *machine) lose(t *rapid.T, w *wire) {
	if len(w.waiting) < 2 || rapid.IntRange(0, 9).Draw(t, "luck") > 0 {
		t.Skip("nothing is lost")
	}
	w.waiting, w.broken = w.waiting[1:], true
}

// Replay delivers a message again.
func (m *machine) Replay(t *rapid.T) {
	w := rapid.SampledFrom([]*wire{&m.forward, &m.backward}).Draw(t, "wire")
	if len(w.past) == 0 || rapid.IntRange(0, 9).Draw(t, "luck") > 0 {
		t.Skip("nothing is replayed")
	}
	again := bytes.Clone(rapid.SampledFrom(w.past).Draw(t, "message"))
	w.waiting, w.broken = append([][]byte{again}, w.waiting...), true
}

func (m *machine) Wait(t *rapid.T) {
	time.Sleep(rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, stepTime, time.Minute, time.Minute, 11 * time.Minute}).Draw(t, "time"))
}

// Check is called after each of them. A direction that has ended stays so.
func (m *machine) Check(t *rapid.T) {
	m.t = t
	if !m.dead {
		return
	}
	for _, o := range []*Opener{m.a.Recv, m.b.Recv} {
		if o.err == nil {
			continue
		}
		if _, _, err := o.Open(make([]byte, 100)); err == nil {
			t.Fatal("a direction that has ended opened something")
		}
	}
}

// Sessions do what the reference says, whatever happens on the way: data in
// both directions, steps of the ratchet to any suite, waits. What is lost or
// replayed ends the direction.
func TestSessionAgainstReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		steps := 0
		rapid.Check(bubble{t}, func(r *rapid.T) {
			m := &machine{t: r}
			s, th := suiteOf(t, rapid.SampledFrom(Suites()).Draw(r, "suite")), [32]byte{1}
			root := bytes.Repeat([]byte{rapid.Byte().Draw(r, "root")}, s.secretSize())
			m.a, m.b = sessionOf(t, s, th[:], root, true), sessionOf(t, s, th[:], root, false)
			m.reference = newReference(s.id, root, th)
			actions := rapid.StateMachineActions(m)
			for name, action := range actions {
				if name == "" {
					continue
				}
				actions[name] = func(t *rapid.T) {
					if m.dead {
						return
					}
					m.t = t
					action(t)
				}
			}
			r.Repeat(actions)
			steps += m.steps
		})
		t.Logf("%d steps of the ratchet were completed", steps)
		if steps == 0 {
			t.Error("no step of the ratchet was completed")
		}
	})
}
