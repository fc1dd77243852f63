package stream

import (
	"errors"
	"io"
	"net"
	"syscall"

	"safing/port17/cell"
)

// WriteTo implements io.WriterTo: it writes all that arrives to w until the
// other side has closed its sending side. Several cells go into one write.
func (s *Stream) WriteTo(w io.Writer) (int64, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	var total int64
	for {
		n, err := s.drain(w)
		total += n
		if err == io.EOF {
			return total, nil
		}
		if err == nil {
			err = s.awaitNews()
		}
		if err != nil {
			return total, err
		}
	}
}

// Pour does what WriteTo does, but has a goroutine only while there is something
// to write, so that idle streams are cheap. It calls over, once, when that has
// ended. Nothing else may read from the stream.
func (s *Stream) Pour(w io.Writer, over func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pour = func() {
		_, err := s.drain(w)
		if err == nil {
			return
		}
		if err == io.EOF {
			err = nil
		}
		s.mu.Lock()
		s.pour = nil
		s.mu.Unlock()
		over(err)
	}
	s.newsLocked()
}

// pouring calls pour until there is nothing more to do.
func (s *Stream) pouring() {
	for {
		s.mu.Lock()
		pour := s.pour
		if pour == nil || !s.readableLocked() {
			s.poured = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		pour()
	}
}

// drain writes to w until nothing more has arrived. At the end of the stream it
// returns io.EOF.
func (s *Stream) drain(w io.Writer) (int64, error) {
	var total int64
	var segments [batch]segment
	data := make([][]byte, batch)
	for {
		k, err := s.takeSegments(segments[:])
		if err != nil || k == 0 {
			return total, err
		}
		for i, g := range segments[:k] {
			data[i] = g.buf[g.start:g.end]
		}
		bufs := net.Buffers(data[:k])
		n, err := bufs.WriteTo(w)
		total += n
		for i, g := range segments[:k] {
			s.mux.pool.Put(g.buf)
			segments[i] = segment{}
		}
		if err != nil {
			return total, err
		}
		s.wrote(int(n))
	}
}

func (s *Stream) takeSegments(dst []segment) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errReadClosed
	}
	n := 0
	for n < len(dst) && s.inbox.n > 0 {
		dst[n] = s.inbox.pop()
		n++
	}
	if n == 0 {
		return 0, s.overLocked()
	}
	return n, nil
}

func (s *Stream) wrote(n int) {
	s.mu.Lock()
	grow := s.readLocked(n)
	s.mu.Unlock()
	if grow {
		s.offerMore()
	}
}

// ReadFrom implements io.ReaderFrom: it sends what it reads from r until that
// ends. It does not close the sending side.
func (s *Stream) ReadFrom(r io.Reader) (int64, error) {
	if c, ok := r.(syscall.Conn); ok {
		if n, err := s.readFromConn(c); !errors.Is(err, errors.ErrUnsupported) {
			return n, err
		}
	}
	b := s.mux.pool.GetBlock()
	defer s.mux.pool.PutBlock(b)
	var total int64
	for {
		n, err := r.Read(b[:])
		if n > 0 {
			k, err := s.Write(b[:n])
			total += int64(k)
			if err != nil {
				return total, err
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// sendFilled queues cells whose places hold n bytes together, and gives back
// those that are not needed. The reservation was for len(bufs) cells and
// reserved bytes.
func (s *Stream) sendFilled(bufs []*cell.Buf, n, reserved int) error {
	m := s.mux
	used := (n + m.data - 1) / m.data
	m.pool.PutAll(bufs[used:])
	if used < len(bufs) || n < reserved {
		m.release(s, len(bufs)-used, reserved-n)
	}
	if used == 0 {
		m.unbusy(s)
		return nil
	}
	return m.send(s, bufs[:used], n)
}
