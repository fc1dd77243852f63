package node

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"safing/port17/cell"
	"safing/port17/shape"
)

// A mixer lets the cells of circuits that ask for it leave at times of their
// own. One goroutine and one timer serve all of them; circuits that do not mix
// never come here.
type mixer struct {
	pool *cell.Pool
	wake chan struct{} // a token when the first outlet is due earlier

	// What leaves now; owned by run.
	leaving []item
	batch   []*cell.Buf

	mu      sync.Mutex
	due     outlets
	stopped bool // nothing waits any more
}

// keepItems is for how many items an outlet that is empty keeps room.
const keepItems = 64

// An outlet is where the cells of one direction of a circuit wait.
type outlet struct {
	mixer *mixer
	limit int // cells that may wait
	// leave gets what leaves: cells, which are its from then on, but for the
	// slice, and how many of padding. The mixer's goroutine calls it.
	leave func(cells []*cell.Buf, padding int)

	// Guarded by mixer.mu.
	gate   *shape.Gate
	items  []item // the oldest first
	left   int    // of these have left
	due    time.Time
	place  int // in mixer.due; -1 when nothing is due
	closed bool
}

// An item waits at an outlet: a cell, or something to be done when all before it
// have left.
type item struct {
	cell *cell.Buf
	do   func()
}

// outlet makes a place where cells wait for delays with the mean, and are then
// shaped.
func (m *mixer) outlet(mean time.Duration, s shape.Shape, limit int, leave func([]*cell.Buf, int)) *outlet {
	now := time.Now()
	o := &outlet{mixer: m, limit: limit, leave: leave, gate: shape.NewGate(mean, s, now, nil), place: -1}
	m.mu.Lock()
	defer m.mu.Unlock()
	o.closed = m.stopped
	m.moveLocked(o)
	return o
}

// add lets cells wait, unless there are too many. queued is how many have left
// and wait elsewhere.
func (o *outlet) add(cells []*cell.Buf, queued int) bool {
	m := o.mixer
	m.mu.Lock()
	defer m.mu.Unlock()
	if o.closed || m.stopped {
		m.pool.PutAll(cells)
		return true // it is ending anyhow
	}
	if len(o.items)-o.left+queued+len(cells) > o.limit {
		return false
	}
	for _, b := range cells {
		o.items = append(o.items, item{cell: b})
	}
	o.gate.Add(time.Now(), len(cells))
	m.moveLocked(o)
	return true
}

// then calls do when what waits has left, and a delay of its own is over. It
// says whether it will: not if the outlet is closed. It does not count towards
// the limit.
func (o *outlet) then(do func()) bool {
	m := o.mixer
	m.mu.Lock()
	defer m.mu.Unlock()
	if o.closed || m.stopped {
		return false
	}
	o.items = append(o.items, item{do: do})
	o.gate.Add(time.Now(), 1)
	m.moveLocked(o)
	return true
}

// waiting returns how many cells wait; 0 if there is no outlet.
func (o *outlet) waiting() int {
	if o == nil {
		return 0
	}
	o.mixer.mu.Lock()
	defer o.mixer.mu.Unlock()
	return len(o.items) - o.left
}

// seen says that cells have passed in the other direction.
func (o *outlet) seen() {
	m := o.mixer
	m.mu.Lock()
	defer m.mu.Unlock()
	o.gate.Seen(time.Now())
	m.moveLocked(o)
}

// close gives back what waits. What leaves already may still do so.
func (o *outlet) close() {
	m := o.mixer
	m.mu.Lock()
	defer m.mu.Unlock()
	o.closeLocked()
}

func (o *outlet) closeLocked() (left []func()) {
	if o.closed {
		return nil
	}
	o.closed = true
	for _, i := range o.items[o.left:] {
		if i.do != nil {
			left = append(left, i.do)
		} else {
			o.mixer.pool.Put(i.cell)
		}
	}
	o.items, o.left = nil, 0
	o.mixer.moveLocked(o)
	return left
}

// moveLocked puts the outlet where it belongs by when it is due.
func (m *mixer) moveLocked(o *outlet) {
	o.due = time.Time{}
	if !o.closed {
		o.due = o.gate.Next()
	}
	switch {
	case o.due.IsZero() && o.place >= 0:
		heap.Remove(&m.due, o.place)
	case o.due.IsZero():
	case o.place >= 0:
		heap.Fix(&m.due, o.place)
	default:
		heap.Push(&m.due, o)
	}
	if o.place == 0 {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// run lets cells leave until the context ends.
func (m *mixer) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(m.leaveAll())
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
		case <-timer.C:
		}
	}
}

// leaveAll lets leave what is due, and returns when there is more.
func (m *mixer) leaveAll() time.Duration {
	for {
		o, padding, wait := m.take()
		if o == nil {
			return wait
		}
		cells := m.batch[:0]
		for _, i := range m.leaving {
			if i.do == nil {
				cells = append(cells, i.cell)
				continue
			}
			o.leave(cells, 0)
			cells = cells[:0]
			i.do()
		}
		if len(cells) > 0 || padding > 0 {
			o.leave(cells, padding)
		}
		m.batch = cells
	}
}

// take returns the first outlet that is due and how much padding leaves there
// behind the items leaving, or how long it is until then.
func (m *mixer) take() (o *outlet, padding int, wait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.due) == 0 {
		return nil, 0, time.Hour
	}
	now := time.Now()
	o = m.due[0]
	if wait = o.due.Sub(now); wait > 0 {
		return nil, 0, wait
	}
	n, padding := o.gate.Take(now)
	m.leaving = append(m.leaving[:0], o.items[o.left:o.left+n]...)
	o.forgetLocked(n)
	m.moveLocked(o)
	return o, padding, 0
}

// forgetLocked takes out what has left. The others move to the front now and
// then, so that each moves once on the average; a long queue that has run empty
// gives its memory back.
func (o *outlet) forgetLocked(n int) {
	clear(o.items[o.left : o.left+n])
	if o.left += n; 2*o.left >= len(o.items) {
		rest := copy(o.items, o.items[o.left:])
		clear(o.items[rest:])
		if o.items, o.left = o.items[:rest], 0; rest == 0 && cap(o.items) > keepItems {
			o.items = nil
		}
	}
}

// stop lets nothing wait any more, and does at once what is to be done.
func (m *mixer) stop() {
	m.mu.Lock()
	m.stopped = true
	var left []func()
	for len(m.due) > 0 {
		left = append(left, m.due[0].closeLocked()...)
	}
	m.mu.Unlock()
	for _, do := range left {
		do()
	}
}

// outlets is a heap, the first due first.
type outlets []*outlet

// Len implements sort.Interface.
func (h outlets) Len() int { return len(h) }

// Less implements sort.Interface.
func (h outlets) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

// Swap implements sort.Interface.
func (h outlets) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *outlets) Push(x any) {
	o := x.(*outlet)
	o.place = len(*h)
	*h = append(*h, o)
}

// Pop implements heap.Interface.
func (h *outlets) Pop() any {
	old := *h
	o := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	o.place = -1
	return o
}
