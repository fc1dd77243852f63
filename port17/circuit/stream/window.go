package stream

import "time"

const (
	// ackEvery is how many cells with data are acknowledged at once.
	ackEvery = 32
	// firstWindow, leastWindow and maxWindow bound a circuit's window, in cells.
	firstWindow = 256
	leastWindow = 64
	maxWindow   = 4096
	// slack is the queueing that a window allows for beside one round trip. It
	// covers what batching and a turn of the system's scheduler add where the
	// round trip is short; what waits there delays everybody behind it. To it
	// comes what mixing adds: the least round trip is one with short delays.
	slack = 3 * time.Millisecond
	// memory is for how long the least round trip counts.
	memory = 20 * time.Second
)

// A window decides how many cells with data may be unacknowledged. It lets
// twice as many be under way as rate times least round trip, so that relays
// hold about one round trip's worth at the bottleneck and no more; both are
// measured, as in BBR (draft-cardwell-iccrg-bbr-congestion-control, 4.1).
type window struct {
	limit  uint64
	sent   uint64 // cells, counting those that are reserved
	queued uint64 // cells that were sealed and queued
	acked  uint64

	slack time.Duration

	marks [maxWindow/ackEvery + 1]mark // ring, by number of cell / ackEvery

	least      time.Duration // of the round trips
	leastSince time.Time
	drain      uint64     // cells up to here may have met our own queue; 0 when that is well
	rate       [2]float64 // best of this period and of the last, cells/s
	period     time.Time
}

// A mark is what was known when a cell was sent whose acknowledgement will be
// a measurement.
type mark struct {
	cell    uint64
	at      time.Time
	acked   uint64
	limited bool // by the window, not by what there was to send
}

func (w *window) room() uint64 {
	if used := w.sent - w.acked; used < w.limit {
		return w.limit - used
	}
	return 0
}

// reserve counts cells as sent. They may be given back by unreserve before
// another reservation.
func (w *window) reserve(n uint64) { w.sent += n }

func (w *window) unreserve(n uint64) { w.sent -= n }

// mark counts cells that are queued, and notes the time if one of them is a
// cell at which the receiver acknowledges.
func (w *window) mark(n uint64, now func() time.Time) {
	before := w.queued / ackEvery
	w.queued += n
	number := w.queued / ackEvery
	if number == before {
		return
	}
	w.marks[number%uint64(len(w.marks))] = mark{
		cell: number * ackEvery, at: now(), acked: w.acked, limited: w.sent-w.acked > w.limit/2,
	}
}

// ack takes an acknowledgement and says whether it is possible.
func (w *window) ack(cells uint64, now time.Time) bool {
	if cells < w.acked || cells > w.queued {
		return false
	}
	w.acked = cells
	m := w.marks[cells/ackEvery%uint64(len(w.marks))]
	if m.cell != cells || m.at.IsZero() {
		return true
	}
	w.measure(m, max(now.Sub(m.at), time.Microsecond), now)
	return true
}

func (w *window) measure(m mark, rtt time.Duration, now time.Time) {
	drained := w.drain != 0 && m.cell > w.drain
	if w.least == 0 || rtt <= w.least || drained {
		w.least, w.leastSince, w.drain = rtt, now, 0
	}
	if now.Sub(w.period) > 5*w.least+100*time.Millisecond {
		w.rate[1], w.rate[0], w.period = w.rate[0], 0, now
	}
	rate := float64(m.cell-m.acked) / rtt.Seconds()
	if m.limited || rate > w.best() { // else it says how little there was to send
		w.rate[0] = max(w.rate[0], rate)
	}
	if w.drain == 0 && now.Sub(w.leastSince) > memory {
		// Whatever the round trip is now, part of it is our own queue. What is
		// sent after that has gone measures the path again.
		w.drain = w.sent + leastWindow
	}
	if w.drain != 0 {
		w.set(w.best() * w.least.Seconds())
	} else {
		w.set(w.best() * (2*w.least + w.slack).Seconds())
	}
}

func (w *window) set(cells float64) {
	w.limit = uint64(min(max(cells, leastWindow), maxWindow))
}

func (w *window) best() float64 { return max(w.rate[0], w.rate[1]) }
