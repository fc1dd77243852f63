package stream

import (
	"net/netip"
	"sync/atomic"
	"time"
)

// An answer is what the origin's end keeps of how the stream began.
type answer struct {
	heard   atomic.Bool  // bytes have come; nobody has to look again for each cell
	up      bool         // the exit has connected
	network netip.Prefix // that it has named
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

// OnAnswer sets what is called, once, when the exit has connected and the first
// bytes have come: with the network (/24 or /48) of the address that the exit says
// it has connected to, not valid if it does not say, and when the bytes came. It
// must not block, nor call the circuit. Nobody reads the bytes before it returns,
// unless they came before it was set, or before the exit's word.
func (s *Stream) OnAnswer(f func(network netip.Prefix, at time.Time)) {
	s.mu.Lock()
	s.answer.hook = f
	call := s.answer.whole()
	s.mu.Unlock()
	call()
}

// connected notes that the exit has connected the stream. Only its first word
// counts.
func (s *Stream) connected(network netip.Prefix) {
	s.upOnce.Do(func() {
		s.mu.Lock()
		s.answer.up, s.answer.network = true, network
		call := s.answer.whole()
		s.mu.Unlock()
		call()
		close(s.up)
	})
}

// answered notes that bytes have come.
func (s *Stream) answered() {
	if s.answer.heard.Swap(true) {
		return
	}
	s.mu.Lock()
	s.answer.at = s.mux.now()
	call := s.answer.whole()
	s.mu.Unlock()
	call()
}

// whole returns what is to be called now.
func (a *answer) whole() (call func()) {
	f, network, at := a.hook, a.network, a.at
	if f == nil || !a.up || at.IsZero() {
		return func() {}
	}
	a.hook = nil
	return func() { f(network, at) }
}
