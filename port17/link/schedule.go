package link

import (
	"sync"

	"safing/port17/cell"
	"safing/tinker"
)

// quantum is how many cells a leg sends before the next has its turn.
const quantum = MaxCells

// maxControl is how many of the link's own cells wait at most.
const maxControl = 32

// A schedule decides what is sent next: the link's own cells, then legs that
// were quiet until just now, then the others in turn (deficit round robin over
// two lists, as in RFC 8290, 4.1; cells being of one size, the deficit is a
// count). A leg that is quiet again after its turn goes to the end of the old
// ones once, so that a stream of quiet legs can't starve them.
type schedule struct {
	mu      sync.Mutex
	wake    sync.Cond // the writer waits here
	control queue
	fresh   list
	old     list
	sealer  *tinker.Sealer // replaces the writer's from the next record on
	step    *tinker.Step   // to be sealed with the next record
	busy    bool           // somebody writes
	ended   bool           // nothing more is sent
	finish  bool           // end when there is nothing left
}

// A list is a FIFO of legs.
type list struct{ first, last *Leg }

func (l *list) push(g *Leg) {
	g.next = nil
	if l.last == nil {
		l.first = g
	} else {
		l.last.next = g
	}
	l.last = g
}

func (l *list) pop() *Leg {
	g := l.first
	l.first = g.next
	if l.first == nil {
		l.last = nil
	}
	g.next = nil
	return g
}

// listLocked sees to it that the leg has its turn. The caller wakes the writer.
func (s *schedule) listLocked(g *Leg) {
	if !g.listed {
		g.listed = true
		g.credit = quantum
		s.fresh.push(g)
	}
}

// room says whether one of the link's own cells can wait. Of those that the
// reader and the pinger queue, each still finds a place then.
func (s *schedule) room() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.ended && s.control.n < maxControl/2
}

// send queues one of the link's own cells, and says whether there was room.
func (s *schedule) send(b *cell.Buf) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.control.n >= maxControl {
		return false
	}
	s.control.push(b)
	s.wake.Signal()
	return true
}

// rekey makes the next record the first under the sealer; first, if not nil,
// is the first cell in it.
func (s *schedule) rekey(sealer *tinker.Sealer, first *cell.Buf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealer = sealer
	if first != nil {
		s.pushFirstLocked(first)
	}
}

// ratchet seals the next record with the step; first is the first cell in it.
func (s *schedule) ratchet(step *tinker.Step, first *cell.Buf) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.step = step
	s.pushFirstLocked(first)
}

func (s *schedule) pushFirstLocked(first *cell.Buf) {
	var waiting [maxControl]*cell.Buf
	n := s.control.pop(waiting[:])
	s.control.push(first)
	for _, b := range waiting[:n] {
		s.control.push(b)
	}
	s.wake.Signal()
}

// takeLocked moves the next cells to dst. It calls gone for legs that end with
// the cells taken.
func (s *schedule) takeLocked(dst []*cell.Buf, pool *cell.Pool, gone func(*Leg)) int {
	n := s.control.pop(dst)
	for n < len(dst) {
		from := &s.fresh
		if from.first == nil {
			from = &s.old
		}
		g := from.first
		if g == nil {
			break
		}
		k := g.cells.pop(dst[n:min(len(dst), n+g.credit)])
		g.credit -= k
		g.started = g.started || k > 0
		n += k
		if g.credit > 0 && g.cells.n > 0 {
			break // dst is full
		}
		if g.cells.n == 0 && g.state == legClosing && n < len(dst) {
			if g.started {
				dst[n] = destroyCell(g, pool)
				n++
			}
			g.state = legGone
			gone(g)
		}
		s.turnLocked(from)
	}
	return n
}

// turnLocked moves the first leg of the list to where it waits next.
func (s *schedule) turnLocked(from *list) {
	g := from.pop()
	switch {
	case g.state != legGone && (g.cells.n > 0 || g.state == legClosing || from == &s.fresh):
		g.credit = quantum
		s.old.push(g)
	default:
		g.listed = false
	}
}

// destroyCell makes the cell that ends a leg.
func destroyCell(g *Leg, pool *cell.Pool) *cell.Buf {
	b := pool.Get()
	cell.Header{Circuit: g.id, Command: cell.Destroy}.Put(b[:])
	payload := b[cell.HeaderSize:]
	clear(payload)
	cell.PutDestroy(payload, g.reason, g.distance)
	return b
}
