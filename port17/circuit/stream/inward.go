package stream

import (
	"safing/port17/cell"
)

// receive takes data of the stream. It may keep own, in which data begins at
// start.
func (s *Stream) receive(data []byte, own *cell.Buf, start int) (kept bool, err error) {
	if len(data) > 0 && s.mux.config.Accept == nil && !s.answer.heard.Load() {
		s.answered() // before anybody reads it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.receiveLocked(data, own, start)
}

func (s *Stream) receiveLocked(data []byte, own *cell.Buf, start int) (kept bool, err error) {
	if s.eof {
		return false, errProtocol("data after the end of a stream")
	}
	s.got += uint64(len(data))
	if s.got > s.allowed {
		return false, errProtocol("more data than was allowed")
	}
	whole := 0
	if s.boundaries != nil {
		if whole, err = s.boundaries.add(data); err != nil {
			return false, err
		}
	}
	if s.closed || s.err != nil || len(data) == 0 {
		return false, nil
	}
	s.whole += whole
	empty := s.inbox.n == 0
	kept = s.inbox.add(data, own, start, s.mux.pool)
	if empty || whole > 0 {
		s.newsLocked()
	}
	return kept, nil
}

func (s *Stream) receiveEnd() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.eof {
		return errProtocol("stream ended twice")
	}
	s.eof = true
	s.newsLocked()
	return nil
}

func (s *Stream) receiveStop() {
	s.mux.mu.Lock()
	s.stopped = true
	s.wake()
	s.mux.mu.Unlock()
	s.mu.Lock()
	f := s.onStop
	if s.stopSeen || s.err != nil {
		f = nil
	}
	s.stopSeen = true
	s.mu.Unlock()
	if f != nil {
		f(false)
	}
}

// end resets the stream: what has arrived can still be read.
func (s *Stream) end(err error) {
	s.mux.mu.Lock()
	if s.resetBy == nil {
		s.resetBy = err
	}
	s.mux.mu.Unlock()
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = err
	f := s.onStop
	close(s.done)
	s.newsLocked()
	s.mu.Unlock()
	if f != nil {
		f(true)
	}
}

// readLocked counts bytes as read and says whether it is time to allow more.
func (s *Stream) readLocked(n int) bool {
	s.read += uint64(n)
	return !s.eof && s.allowed-s.read <= s.reach-s.reach/renewals
}

// offerMore arranges for a window frame.
func (s *Stream) offerMore() {
	m := s.mux
	m.mu.Lock()
	if m.streams[s.id] == s {
		m.controlLocked(s, frameWindow)
	}
	m.mu.Unlock()
	m.kick()
}

// offer decides up to which byte the other side may send, when that is about
// to be told.
func (s *Stream) offer() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.mux.now()
	if s.inbox.bytes < int(s.reach/4) && now.Sub(s.offered) < busyReader/renewals {
		s.reach = min(2*s.reach, maxReach)
	}
	s.offered = now
	s.allowed = max(s.allowed, s.read+s.reach)
	return s.allowed
}

func (s *Stream) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inbox.bytes
}

// wake lets a waiting writer look again.
func (s *Stream) wake() { signal(s.room) }

// newsLocked lets the reader look again.
func (s *Stream) newsLocked() {
	if s.pour == nil {
		signal(s.news)
	} else if !s.poured && s.readableLocked() {
		s.poured = true
		go s.pouring()
	}
}

// readableLocked says whether a reader would not have to wait.
func (s *Stream) readableLocked() bool {
	return s.inbox.n > 0 || s.closed || s.overLocked() != nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
