package node

import "sync"

const maxHandshakes = 1024 // that wait

// handshakes wait for a worker. Links have their turns, so that one which sends
// many keeps itself waiting and nobody else. A link may have one more wait while
// it has fewer than there is room for, as with circuits.
type handshakes struct {
	mu      sync.Mutex
	wake    sync.Cond
	limit   int
	waiting int
	turns   []*share // links of which handshakes wait, the next one first
	closed  bool
}

func newHandshakes(limit int) *handshakes {
	h := &handshakes{limit: limit}
	h.wake.L = &h.mu
	return h
}

// add queues a handshake, and says whether its link may have one more wait.
func (h *handshakes) add(s *share, f func()) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(s.handshakes) >= h.limit-h.waiting {
		return false
	}
	h.addLocked(s, f)
	return true
}

// ask has a worker call the function in its turn, however many wait.
func (h *handshakes) ask(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addLocked(new(share), f)
}

func (h *handshakes) addLocked(s *share, f func()) {
	if len(s.handshakes) == 0 {
		h.turns = append(h.turns, s)
	}
	s.handshakes = append(s.handshakes, f)
	h.waiting++
	h.wake.Signal()
}

// count returns how many wait.
func (h *handshakes) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting
}

// next waits for the handshake whose turn it is. It returns nil when there will
// be none.
func (h *handshakes) next() func() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.waiting == 0 && !h.closed {
		h.wake.Wait()
	}
	if h.closed {
		return nil
	}
	s := h.turns[0]
	h.turns[0] = nil
	h.turns = h.turns[1:]
	f := s.handshakes[0]
	s.handshakes[0] = nil
	if s.handshakes = s.handshakes[1:]; len(s.handshakes) > 0 {
		h.turns = append(h.turns, s)
	} else {
		s.handshakes = nil
	}
	h.waiting--
	return f
}

// close lets all workers end.
func (h *handshakes) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.wake.Broadcast()
}
