package stream

import (
	"safing/port17/cell"
)

// Receive takes the content of one cell, buf[start:end]. It owns buf from then
// on. An error means that the other end broke the protocol: the circuit has to
// be destroyed.
func (m *Mux) Receive(buf *cell.Buf, start, end int) error {
	m.receiving.Store(true)
	kept, counted, err := m.receive(buf[start:end:end], buf, end)
	m.receiving.Store(false)
	if !kept {
		m.pool.Put(buf)
	}
	if err != nil {
		return err
	}
	if counted {
		m.count()
	}
	m.kick()
	return nil
}

// ReceiveFirst takes the frames that came with the hello. They are not counted
// in the window.
func (m *Mux) ReceiveFirst(content []byte) error {
	m.receiving.Store(true)
	_, _, err := m.receive(content, nil, 0)
	m.receiving.Store(false)
	m.kick()
	return err
}

// receive handles frames. buf, if not nil, holds them up to end; receive says
// whether it was kept, and whether the cell is one that the window counts.
func (m *Mux) receive(content []byte, buf *cell.Buf, end int) (kept, counted bool, err error) {
	for len(content) > 0 {
		f, rest, err := cell.NextFrame(content)
		if err != nil {
			return kept, counted, errProtocol(err.Error())
		}
		switch f.Type {
		case cell.EndOfFrames:
			return kept, counted, nil
		case cell.DataFrame:
			counted = true
			own := buf
			if len(rest) > 0 && rest[0] != byte(cell.EndOfFrames) {
				own = nil // another frame follows
			}
			kept, err = m.receiveData(f, own, end-len(rest)-len(f.Data))
		case cell.OpenFrame:
			counted = true
			err = m.receiveOpen(f)
		case cell.AckFrame:
			err = m.receiveAck(f.Value)
		default:
			err = m.receiveControl(f)
		}
		if err != nil || kept {
			return kept, counted, err
		}
		content = rest
	}
	return kept, counted, nil
}

// find returns the frame's stream; nil for one that has ended.
func (m *Mux) find(f cell.Frame) (*Stream, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.streams[f.Stream]; s != nil {
		return s, nil
	}
	if f.Stream == 0 || f.Stream > m.lastID {
		return nil, errProtocol("frame for a stream that never was")
	}
	return nil, nil
}

func (m *Mux) receiveData(f cell.Frame, own *cell.Buf, start int) (kept bool, err error) {
	s, err := m.find(f)
	if s == nil || err != nil {
		return false, err
	}
	return s.receive(f.Data, own, start)
}

func (m *Mux) receiveOpen(f cell.Frame) error {
	if m.config.Accept == nil {
		return errProtocol("stream opened by the exit")
	}
	target, badTarget := cell.ParseTarget(f.Data)
	m.mu.Lock()
	if f.Stream <= m.lastID {
		m.mu.Unlock()
		return errProtocol("stream number used twice")
	}
	if m.err != nil {
		m.mu.Unlock()
		return nil
	}
	m.lastID = f.Stream
	s := newStream(m, f.Stream, target)
	s.announced = true
	full := len(m.streams) >= m.config.MaxStreams
	if badTarget == nil && !full {
		m.streams[s.id] = s
	}
	m.mu.Unlock()
	switch {
	case full:
		m.refuse(s, cell.TooManyStreams)
	case badTarget != nil:
		m.refuse(s, cell.BadTarget)
	default:
		m.config.Accept(s, target)
	}
	return nil
}

func (m *Mux) refuse(s *Stream, r cell.Reason) {
	s.Reset(r)
	if m.config.Refused != nil {
		m.config.Refused(r)
	}
}

// receiveAck makes room in the window.
func (m *Mux) receiveAck(cells uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.window.ack(cells, m.now()) {
		return errProtocol("acknowledgement of cells that were not sent")
	}
	m.wakeLocked()
	if len(m.opening) > 0 {
		m.work.Store(true)
	}
	return nil
}

func (m *Mux) receiveControl(f cell.Frame) error {
	s, err := m.find(f)
	if s == nil || err != nil {
		return err
	}
	switch f.Type {
	case cell.OpenedFrame:
		if m.config.Accept != nil {
			return errProtocol("stream confirmed by the origin")
		}
		s.connected(f.Network())
	case cell.EndFrame:
		return s.receiveEnd()
	case cell.ResetFrame:
		m.forget(s)
		s.end(&Error{f.Reason})
	case cell.StopFrame:
		s.receiveStop()
	case cell.WindowFrame:
		m.mu.Lock()
		s.limit = max(s.limit, f.Value)
		if len(s.early) > 0 {
			m.work.Store(true)
		}
		m.mu.Unlock()
		s.wake()
	}
	return nil
}

// count counts a cell with data and arranges for an acknowledgement in time.
func (m *Mux) count() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.received++
	if m.received-m.acked >= ackEvery {
		m.work.Store(true)
	}
}

// forget removes a stream: what still arrives for it is ignored.
func (m *Mux) forget(s *Stream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.streams, s.id)
}
