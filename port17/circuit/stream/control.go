package stream

import (
	"slices"

	"safing/port17/cell"
)

// frames is a set of control frames that a stream has to send. They go in the
// order of the bits.
type frames uint8

const (
	frameOpened frames = 1 << iota
	frameEnd
	frameReset
	frameStop
	frameWindow
)

// controlLocked arranges for the frames to be sent. The caller kicks.
func (m *Mux) controlLocked(s *Stream, f frames) {
	if m.err != nil {
		return
	}
	if s.pending == 0 {
		m.control = append(m.control, s)
	}
	s.pending |= f
	if f&frameEnd != 0 {
		s.endSent = true
	}
	m.work.Store(true)
}

// fillControl writes control frames to area and returns how much it used.
func (m *Mux) fillControl(area []byte) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := area[:0]
	if m.err != nil || !m.ready {
		return 0
	}
	if m.received-m.acked >= ackEvery && cap(b) >= cell.MaxControlFrame {
		// The sender measures at multiples of ackEvery.
		m.acked = m.received / ackEvery * ackEvery
		b = cell.Frame{Type: cell.AckFrame, Value: m.acked}.Append(b)
	}
	done := 0
	for _, s := range m.control {
		if b = m.appendLocked(s, b, len(area)); s.pending != 0 {
			break
		}
		done++
	}
	m.control = slices.Delete(m.control, 0, done)
	return len(b)
}

// appendLocked appends the stream's frames while there is room.
func (m *Mux) appendLocked(s *Stream, b []byte, size int) []byte {
	for f := frameOpened; f <= frameWindow; f <<= 1 {
		if s.pending&f == 0 {
			continue
		}
		if size-len(b) < cell.MaxControlFrame {
			return b
		}
		s.pending &^= f
		frame := cell.Frame{Stream: s.id}
		switch f {
		case frameOpened:
			frame.Type, frame.Data = cell.OpenedFrame, cell.NetworkOf(s.reached)
		case frameEnd:
			frame.Type = cell.EndFrame
		case frameReset:
			frame.Type, frame.Reason = cell.ResetFrame, s.reason
		case frameStop:
			frame.Type = cell.StopFrame
		case frameWindow:
			frame.Type, frame.Value = cell.WindowFrame, s.offer()
		}
		b = frame.Append(b)
	}
	return b
}
