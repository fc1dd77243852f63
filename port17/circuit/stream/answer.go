package stream

import (
	"net/netip"
	"time"
)

// An answer is what the origin's end keeps of how the stream began.
type answer struct {
	network netip.Prefix // that the exit has named
	at      time.Time    // of the first bytes from the other side
	hook    func(network netip.Prefix, at time.Time)
}

// Connected tells the origin that the stream reaches its target, and, if it is
// valid, in which network the address is. Exits call it.
func (s *Stream) Connected(to netip.Addr) {
	s.mux.mu.Lock()
	s.reached = to
	s.mux.controlLocked(s, frameOpened)
	s.mux.mu.Unlock()
	s.mux.kick()
}

// Opened is closed when the exit says that it has connected.
func (s *Stream) Opened() <-chan struct{} { return s.up }

// OnAnswer sets what is called, once, when the other side's first bytes have come:
// with the network (/24 or /48) of the address that the exit says it has connected
// to, not valid if it does not say, and when the bytes came. It must not block,
// nor call the circuit.
func (s *Stream) OnAnswer(f func(network netip.Prefix, at time.Time)) {
	s.mu.Lock()
	a := s.answer
	if a.at.IsZero() {
		s.answer.hook = f
	}
	s.mu.Unlock()
	if !a.at.IsZero() {
		f(a.network, a.at)
	}
}

// connected notes that the exit has connected the stream. Only its first word
// counts.
func (s *Stream) connected(network netip.Prefix) {
	s.upOnce.Do(func() {
		s.mu.Lock()
		s.answer.network = network
		s.mu.Unlock()
		close(s.up)
	})
}

// answeredLocked notes that bytes have come and returns what to call.
func (s *Stream) answeredLocked() (call func()) {
	a := &s.answer
	if s.mux.config.Accept != nil || !a.at.IsZero() {
		return nil
	}
	a.at = s.mux.now()
	f, network, at := a.hook, a.network, a.at
	if a.hook = nil; f == nil {
		return nil
	}
	return func() { f(network, at) }
}
