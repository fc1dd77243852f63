package link

import (
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// Traffic is what a link has carried, in records: hellos are not in it.
type Traffic struct {
	CellsSent, CellsReceived uint64
	BytesSent, BytesReceived uint64
}

// Add adds what another link has carried.
func (t *Traffic) Add(o Traffic) {
	t.CellsSent += o.CellsSent
	t.CellsReceived += o.CellsReceived
	t.BytesSent += o.BytesSent
	t.BytesReceived += o.BytesReceived
}

// A direction counts what the writer has written, or the reader has read. Nobody
// else writes to it.
type direction struct{ cells, bytes atomic.Uint64 }

// Traffic returns what the link has carried so far.
func (l *Link) Traffic() Traffic {
	return Traffic{
		CellsSent: l.sent.cells.Load(), BytesSent: l.sent.bytes.Load(),
		CellsReceived: l.received.cells.Load(), BytesReceived: l.received.bytes.Load(),
	}
}

// passed counts a record, and waits as long as the limit asks for. So cells wait
// in their circuits' queues, and in the connection, where they are bounded.
func (l *Link) passed(d *direction, cells, bytes int, limit *rate.Limiter) {
	d.cells.Add(uint64(cells))
	d.bytes.Add(uint64(bytes))
	if limit == nil {
		return
	}
	delay := limit.ReserveN(time.Now(), min(bytes, limit.Burst())).Delay()
	if delay == 0 {
		return
	}
	wait := time.NewTimer(delay)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-l.closed:
	}
}
