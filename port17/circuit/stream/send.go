package stream

import (
	"slices"

	"safing/port17/cell"
)

// batch is how many cells are sealed and queued at once.
const batch = 16

// reserve takes room for up to n bytes of the stream from both windows. It
// returns 0 cells when there is none; the stream is woken when there may be.
func (m *Mux) reserve(s *Stream, n int) (cells, bytes int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.wakeLocked()
	if err := m.writableLocked(s); err != nil {
		m.unwaitLocked(s)
		return 0, 0, err
	}
	if !m.ready || len(s.early) > 0 || s.limit <= s.sent {
		return 0, 0, nil
	}
	room := min(m.window.room(), batch)
	if room == 0 {
		if !s.waiting {
			s.waiting = true
			m.waiting = append(m.waiting, s)
		}
		return 0, 0, nil
	}
	m.unwaitLocked(s)
	bytes = int(min(uint64(n), s.limit-s.sent, room*uint64(m.data)))
	cells = (bytes + m.data - 1) / m.data
	m.window.reserve(uint64(cells))
	s.sent += uint64(bytes)
	s.busy = true
	return cells, bytes, nil
}

// writableLocked says why the stream can't be written to.
func (m *Mux) writableLocked(s *Stream) error {
	switch {
	case m.err != nil:
		return m.err
	case s.resetBy != nil:
		return s.resetBy
	case s.ended:
		return errWriteClosed
	case s.stopped:
		return errStopped
	}
	return nil
}

// release gives back what a reservation does not use.
func (m *Mux) release(s *Stream, cells, bytes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.window.unreserve(uint64(cells))
	s.sent -= uint64(bytes)
	m.wakeLocked()
}

// unbusy ends a reservation.
func (m *Mux) unbusy(s *Stream) {
	m.mu.Lock()
	m.unbusyLocked(s)
	m.mu.Unlock()
	m.kick()
}

func (m *Mux) unbusyLocked(s *Stream) {
	s.busy = false
	if s.ended && len(s.early) == 0 && !s.endSent {
		m.controlLocked(s, frameEnd)
	}
}

// wakeLocked lets the first of the waiting writers try again. Each that tries
// wakes the next if there is room left, and so does one that gives up.
func (m *Mux) wakeLocked() {
	if len(m.waiting) == 0 || m.window.room() == 0 {
		return
	}
	s := m.waiting[0]
	m.waiting = slices.Delete(m.waiting, 0, 1)
	s.waiting = false
	s.wake()
}

// leave takes a writer that gives up out of the queue.
func (m *Mux) leave(s *Stream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unwaitLocked(s)
	m.wakeLocked()
}

// unwaitLocked takes the stream out of the queue, so that no turn is lost to a
// writer that is not waiting.
func (m *Mux) unwaitLocked(s *Stream) {
	if s.waiting {
		s.waiting = false
		m.waiting = slices.DeleteFunc(m.waiting, func(w *Stream) bool { return w == s })
	}
}

// finishCell makes a DataFrame of a cell whose data is already at its place.
// What is left of the content takes control frames if room says so.
func (m *Mux) finishCell(b *cell.Buf, stream uint32, n int, room bool) {
	area := b[m.config.Start : m.config.Start+m.config.Size]
	cell.PutDataHeader(area, stream, n)
	rest := area[cell.DataOverhead+n:]
	if room && len(rest) >= cell.MaxControlFrame {
		rest = rest[m.fillControl(rest):]
	}
	clear(rest)
}

// place returns where a cell's data lies.
func (m *Mux) place(b *cell.Buf) []byte {
	start := m.config.Start + cell.DataOverhead
	return b[start : start+m.data]
}

// send seals and queues cells that hold n bytes of the stream at their places,
// for which the reservation was made.
func (m *Mux) send(s *Stream, cells []*cell.Buf, n int) error {
	m.sending.Lock()
	for i, b := range cells {
		k := min(n, m.data)
		m.finishCell(b, s.id, k, i == len(cells)-1)
		n -= k
	}
	m.mark(len(cells))
	err := m.config.Send(cells)
	m.sending.Unlock()
	if err != nil {
		m.pool.PutAll(cells)
		m.Close(err)
	}
	m.unbusy(s)
	return err
}

func (m *Mux) mark(cells int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.window.mark(uint64(cells), m.now)
}

// kick sends what is no stream's data. If somebody else is sending, they do; if
// a cell is being received, that goroutine does.
func (m *Mux) kick() {
	for !m.receiving.Load() && m.work.Load() && m.sending.TryLock() {
		m.work.Store(false)
		err := m.flush()
		m.sending.Unlock()
		if err != nil {
			m.Close(err)
		}
	}
}

// flush sends all that waits: early data first, as far as the windows allow,
// then control frames. The caller holds sending.
func (m *Mux) flush() error {
	for {
		s, b, n := m.nextEarly()
		if s == nil {
			break
		}
		area := b[m.config.Start : m.config.Start+m.config.Size]
		clear(area[n:])
		if err := m.sendOne(b); err != nil {
			return err
		}
	}
	for {
		b := m.pool.Get()
		area := b[m.config.Start : m.config.Start+m.config.Size]
		n := m.fillControl(area)
		if n == 0 {
			m.pool.Put(b)
			return nil
		}
		clear(area[n:])
		if err := m.sendOne(b); err != nil {
			return err
		}
	}
}

func (m *Mux) sendOne(b *cell.Buf) error {
	one := [1]*cell.Buf{b}
	err := m.config.Send(one[:])
	if err != nil {
		m.pool.Put(b)
	}
	return err
}

// nextEarly fills a cell with the target and early data of the first stream
// that may send some, and returns how much of the content is used.
func (m *Mux) nextEarly() (*Stream, *cell.Buf, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ready || m.err != nil {
		return nil, nil, 0
	}
	for i, s := range m.opening {
		if m.window.room() == 0 {
			break
		}
		if s.announced && s.limit <= s.sent {
			continue
		}
		b := m.pool.Get()
		area := b[m.config.Start : m.config.Start+m.config.Size]
		n := m.fillEarlyLocked(s, area)
		m.window.reserve(1)
		m.window.mark(1, m.now)
		if len(s.early) == 0 {
			s.early = nil
			m.opening = slices.Delete(m.opening, i, i+1)
			m.unbusyLocked(s)
			s.wake()
		}
		return s, b, n
	}
	return nil, nil, 0
}

func (m *Mux) fillEarlyLocked(s *Stream, area []byte) int {
	b := area[:0]
	if !s.announced {
		b = cell.Frame{Type: cell.OpenFrame, Stream: s.id, Data: s.early[:s.target]}.Append(b)
		s.early = s.early[s.target:]
		s.announced = true
	}
	n := int(min(uint64(len(s.early)), s.limit-s.sent, uint64(len(area)-len(b)-cell.DataOverhead)))
	if n > 0 {
		b = cell.Frame{Type: cell.DataFrame, Stream: s.id, Data: s.early[:n]}.Append(b)
		s.early = s.early[n:]
		s.sent += uint64(n)
	}
	return len(b)
}
