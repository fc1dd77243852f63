package stream

import (
	"errors"
	"os"
	"sync"

	"safing/port17/cell"
)

// maxQueued is how many bytes of datagrams wait to be sent: two of the greatest.
const maxQueued = 2 * (cell.MaxDatagramHeader + cell.MaxDatagram)

// Errors of sending datagrams.
var (
	// ErrDropped: there was no room, as the circuit carries no more at the
	// moment. Networks drop datagrams, so this need not be told to who sent it.
	ErrDropped = errors.New("stream: the datagram was dropped")
	// ErrTooLong: the datagram is longer than [cell.MaxDatagram].
	ErrTooLong = errors.New("stream: the datagram is too long")
)

// Datagrams are one end of a stream whose target is UDP: an association. Each
// datagram arrives whole and in order, or not at all.
//
// A datagram that finds no room is dropped by its sender. What waits there and
// at the receiver lies in the pool's cells.
type Datagrams struct {
	stream *Stream
	work   chan struct{} // a token when Run should look again

	mu      sync.Mutex
	queue   inbox
	closing bool
}

// NewDatagrams uses a stream for datagrams, and for nothing else from then on.
// What it sends waits for Run.
func NewDatagrams(s *Stream) *Datagrams {
	return &Datagrams{stream: s, work: make(chan struct{}, 1)}
}

// Send queues a datagram to the target, or at the exit from it. It never waits:
// its error is ErrDropped if there is no room.
func (d *Datagrams) Send(t cell.Target, p []byte) error {
	if len(p) > cell.MaxDatagram {
		return ErrTooLong
	}
	if err := d.stream.Err(); err != nil {
		return err
	}
	var b [cell.MaxDatagramHeader]byte
	header := cell.AppendDatagramHeader(b[:0], t, len(p))
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return errWriteClosed
	}
	if d.queue.bytes+len(header)+len(p) > maxQueued {
		return ErrDropped
	}
	d.queue.add(header, nil, 0, d.stream.mux.pool)
	d.queue.add(p, nil, 0, d.stream.mux.pool)
	signal(d.work)
	return nil
}

// Run sends what is queued until Close or the end of the stream. It has to be
// called once.
func (d *Datagrams) Run() {
	err := d.send()
	d.mu.Lock()
	d.closing = true
	d.queue.drop(d.stream.mux.pool)
	d.mu.Unlock()
	if err == nil {
		d.stream.Close()
	} else if d.stream.Err() == nil { // the other side takes no more
		d.stream.Reset(cell.Finished)
	}
}

func (d *Datagrams) send() error {
	s := d.stream
	s.writing.Lock()
	defer s.writing.Unlock()
	for {
		queued, closing := d.queued()
		if queued == 0 && closing {
			return nil
		}
		if queued == 0 {
			select {
			case <-d.work:
				continue
			case <-s.done:
				return s.Err()
			}
		}
		cells, n, err := s.mux.reserve(s, queued)
		if err == nil && cells == 0 {
			err = s.awaitRoom()
		}
		if err == nil && n > 0 {
			err = d.sendQueued(cells, n)
		}
		if err != nil {
			return err
		}
	}
}

func (d *Datagrams) queued() (bytes int, closing bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queue.bytes, d.closing
}

// sendQueued sends n bytes of the queue, for which cells are reserved.
func (d *Datagrams) sendQueued(cells, n int) error {
	var bufs [batch]*cell.Buf
	m := d.stream.mux
	d.mu.Lock()
	rest := n
	for i := range cells {
		bufs[i] = m.pool.Get()
		place := m.place(bufs[i])
		rest -= d.queue.read(place[:min(rest, len(place))], m.pool)
	}
	d.mu.Unlock()
	return m.send(d.stream, bufs[:cells], n)
}

// Await returns when a datagram can be received at once.
func (d *Datagrams) Await() error {
	s := d.stream
	if s.readBy.over() {
		return os.ErrDeadlineExceeded
	}
	for {
		s.mu.Lock()
		whole, closed, err := s.whole, s.closed, s.overLocked()
		s.mu.Unlock()
		switch {
		case closed:
			return errReadClosed
		case whole > 0:
			return nil
		case err != nil:
			return err
		}
		if err := s.awaitNews(); err != nil {
			return err
		}
	}
}

// Receive takes the next datagram: at the exit the target is where it goes to,
// at the origin where it comes from. What p has no room for is lost.
func (d *Datagrams) Receive(p []byte) (n int, t cell.Target, err error) {
	s := d.stream
	s.reading.Lock()
	defer s.reading.Unlock()
	if err := d.Await(); err != nil {
		return 0, t, err
	}
	n, t, grow := d.take(p)
	if grow {
		s.offerMore()
	}
	if t.Port == 0 {
		return 0, t, errReadClosed
	}
	return n, t, nil
}

// take moves a datagram to p. There is none if the target has no port.
func (d *Datagrams) take(p []byte) (n int, t cell.Target, grow bool) {
	s := d.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.whole == 0 {
		return 0, t, false
	}
	s.whole--
	var header [cell.MaxDatagramHeader]byte
	t, length, size, _ := cell.ParseDatagramHeader(header[:s.inbox.peek(header[:])])
	s.inbox.skip(size, s.mux.pool)
	n = s.inbox.read(p[:min(length, len(p))], s.mux.pool)
	s.inbox.skip(length-n, s.mux.pool)
	return n, t, s.readLocked(size + length)
}

// Close ends the association. What is queued still goes out.
func (d *Datagrams) Close() error {
	d.stream.CloseRead()
	d.mu.Lock()
	d.closing = true
	d.mu.Unlock()
	signal(d.work)
	return nil
}

// Stream returns the stream, for its deadlines and its end.
func (d *Datagrams) Stream() *Stream { return d.stream }

// boundaries finds out how many datagrams of a stream have arrived whole.
type boundaries struct {
	head  [cell.MaxDatagramHeader]byte
	n     int  // bytes of head
	rest  int  // bytes of the datagram that are still to come
	names bool // targets may be names
}

func (b *boundaries) add(data []byte) (whole int, err error) {
	for len(data) > 0 {
		if b.rest == 0 {
			n := copy(b.head[b.n:], data)
			t, length, size, err := cell.ParseDatagramHeader(b.head[:b.n+n])
			if err != nil {
				return whole, errProtocol(err.Error())
			}
			if t.Host != "" && !b.names {
				return whole, errProtocol("datagram from a name")
			}
			if size == 0 {
				b.n += n
				return whole, nil
			}
			data = data[size-b.n:]
			b.n, b.rest = 0, length
		}
		n := min(b.rest, len(data))
		data = data[n:]
		b.rest -= n
		if b.rest == 0 {
			whole++
		}
	}
	return whole, nil
}
