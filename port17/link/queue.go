package link

import "safing/port17/cell"

// A queue holds cells in order. It grows by doubling up to what is pushed and
// gives its memory back when it runs empty after having been long.
type queue struct {
	ring  []*cell.Buf // length is zero or a power of two
	first int
	n     int
}

const keepRing = 64

func (q *queue) push(b *cell.Buf) {
	if q.n == len(q.ring) {
		q.grow()
	}
	q.ring[(q.first+q.n)&(len(q.ring)-1)] = b
	q.n++
}

func (q *queue) grow() {
	ring := make([]*cell.Buf, max(4, 2*len(q.ring)))
	for i := range q.n {
		ring[i] = q.ring[(q.first+i)&(len(q.ring)-1)]
	}
	q.ring, q.first = ring, 0
}

// pop moves up to len(dst) cells to dst and returns how many.
func (q *queue) pop(dst []*cell.Buf) int {
	n := min(len(dst), q.n)
	for i := range n {
		dst[i] = q.ring[q.first]
		q.ring[q.first] = nil
		q.first = (q.first + 1) & (len(q.ring) - 1)
	}
	q.n -= n
	if q.n == 0 && len(q.ring) > keepRing {
		q.ring, q.first = nil, 0
	}
	return n
}
