package stream

import "safing/port17/cell"

// An inbox holds what arrived on a stream and was not read. Data stays in the
// cell it came in where that is mostly data; little pieces are put together,
// so that the memory taken is at most a small multiple of the bytes held.
type inbox struct {
	segments []segment // ring; length is zero or a power of two
	first, n int
	bytes    int
}

// A segment is data in a cell's buffer.
type segment struct {
	buf        *cell.Buf
	start, end int
}

// mostly is how many bytes of data make a cell worth keeping.
const mostly = cell.Size / 4

// add appends data. If own is not nil, data begins at own[start] and nothing
// else in own is needed any more; add says whether it has kept own.
func (q *inbox) add(data []byte, own *cell.Buf, start int, pool *cell.Pool) (kept bool) {
	q.bytes += len(data)
	if q.fill(data) {
		return false
	}
	if own != nil && len(data) >= mostly {
		q.push(segment{own, start, start + len(data)})
		return true
	}
	for len(data) > 0 {
		b := pool.Get()
		n := copy(b[:], data)
		q.push(segment{b, 0, n})
		data = data[n:]
	}
	return false
}

// fill copies data behind the last segment if all of it fits there.
func (q *inbox) fill(data []byte) bool {
	if q.n == 0 {
		return false
	}
	last := &q.segments[(q.first+q.n-1)&(len(q.segments)-1)]
	if len(data) > len(last.buf)-last.end {
		return false
	}
	last.end += copy(last.buf[last.end:], data)
	return true
}

func (q *inbox) push(s segment) {
	if q.n == len(q.segments) {
		ring := make([]segment, max(4, 2*q.n))
		for i := range q.n {
			ring[i] = q.segments[(q.first+i)&(q.n-1)]
		}
		q.segments, q.first = ring, 0
	}
	q.segments[(q.first+q.n)&(len(q.segments)-1)] = s
	q.n++
}

// pop removes the first segment, which must exist.
func (q *inbox) pop() segment {
	s := q.segments[q.first]
	q.segments[q.first] = segment{}
	q.first = (q.first + 1) & (len(q.segments) - 1)
	q.n--
	q.bytes -= s.end - s.start
	if q.n == 0 && len(q.segments) > 64 {
		q.segments, q.first = nil, 0
	}
	return s
}

// read moves bytes to p.
func (q *inbox) read(p []byte, pool *cell.Pool) int {
	total := 0
	for len(p) > 0 && q.n > 0 {
		s := &q.segments[q.first]
		n := copy(p, s.buf[s.start:s.end])
		s.start += n
		q.bytes -= n
		total += n
		p = p[n:]
		if s.start == s.end {
			pool.Put(q.pop().buf)
		}
	}
	return total
}

// peek copies bytes to p and leaves them.
func (q *inbox) peek(p []byte) int {
	total := 0
	for i := 0; i < q.n && total < len(p); i++ {
		s := q.segments[(q.first+i)&(len(q.segments)-1)]
		total += copy(p[total:], s.buf[s.start:s.end])
	}
	return total
}

// skip forgets n bytes, which must be there.
func (q *inbox) skip(n int, pool *cell.Pool) {
	for n > 0 {
		s := &q.segments[q.first]
		k := min(n, s.end-s.start)
		s.start += k
		q.bytes -= k
		n -= k
		if s.start == s.end {
			pool.Put(q.pop().buf)
		}
	}
}

// drop forgets everything.
func (q *inbox) drop(pool *cell.Pool) {
	for q.n > 0 {
		pool.Put(q.pop().buf)
	}
}
