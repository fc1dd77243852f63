package circuit

import (
	"fmt"
	"math/rand/v2"
	"time"

	"safing/port17/cell"
	"safing/port17/link"
	"safing/port17/shape"
	"safing/tinker"
)

// A padding is how the origin shapes what it sends. It belongs to
// Circuit.sealing.
type padding struct {
	shape shape.Shape
	gate  *shape.Gate // nil until all nodes have replied
	timer *time.Timer
	cells []*cell.Buf // that wait, not sealed
	over  bool
}

// Validate checks the bounds of delay and shape.
func (d Dialer) Validate() error {
	if d.Delay < 0 || d.Delay > shape.MaxDelay || d.Delay%time.Millisecond != 0 {
		return fmt.Errorf("create circuit: delays of %s, want milliseconds up to %s", d.Delay, shape.MaxDelay)
	}
	if err := d.Shape.Validate(); err != nil {
		return fmt.Errorf("create circuit: %w", err)
	}
	return nil
}

// roundTrip is how long cells wait at the hops on their way to the exit and
// back, on the average.
func (d Dialer) roundTrip(hops int) time.Duration { return time.Duration(2*hops) * d.Delay }

// beginPadding begins to pad.
func (c *Circuit) beginPadding() {
	c.sealing.Lock()
	defer c.sealing.Unlock()
	p := c.padding
	if p == nil || p.over {
		return
	}
	p.gate = shape.NewGate(0, p.shape, time.Now(), nil)
	p.timer = time.AfterFunc(time.Hour, c.pad)
	c.leaveLocked()
}

func (c *Circuit) stopPadding() {
	c.sealing.Lock()
	defer c.sealing.Unlock()
	p := c.padding
	if p == nil {
		return
	}
	p.over = true
	if p.timer != nil {
		p.timer.Stop()
	}
	c.pool.PutAll(p.cells)
	p.cells = nil
}

// pad is called when a cell or padding is due.
func (c *Circuit) pad() {
	c.sealing.Lock()
	defer c.sealing.Unlock()
	c.leaveLocked()
}

// seen says that a cell has come with frames: what answers it may follow.
func (c *Circuit) seen() {
	if c.padding == nil || c.padding.shape.Kind == shape.Constant {
		return
	}
	c.sealing.Lock()
	defer c.sealing.Unlock()
	if c.padding.gate != nil {
		c.padding.gate.Seen(time.Now())
		c.leaveLocked()
	}
}

// waitLocked lets cells wait until the shape says that they leave. The mux sends
// none before all nodes have replied.
func (c *Circuit) waitLocked(cells []*cell.Buf) {
	p := c.padding
	if p.over {
		c.pool.PutAll(cells)
		return
	}
	if len(p.cells)+len(cells) > link.QueueLimit {
		c.pushLocked(link.ErrQueueFull, cells...)
		return
	}
	p.cells = append(p.cells, cells...)
	p.gate.Add(time.Now(), len(cells))
	c.leaveLocked()
}

// leaveLocked seals and queues what leaves now.
func (c *Circuit) leaveLocked() {
	p := c.padding
	if p.over || c.lost {
		return
	}
	now := time.Now()
	n, padding := p.gate.Take(now)
	if n > 0 {
		cells := p.cells[:n:n]
		p.cells = p.cells[n:]
		c.pushLocked(c.sealLocked(cells), cells...)
	}
	for range padding {
		if c.lost || c.out().Queued() > link.MaxCells {
			break // padding that meets a queue helps nobody
		}
		c.renewal.count(1)
		b := c.pool.Get()
		clear(b[:])
		c.pushLocked(c.onion.SealFor(c.target(), b[cell.HeaderSize:], tinker.LayerDrop, nil), b)
	}
	if next := p.gate.Next(); !next.IsZero() {
		p.timer.Reset(next.Sub(now))
	}
}

// target is where the next padding goes: to any node but the entry, which then
// sees no difference either.
func (c *Circuit) target() int {
	if len(c.hops) == 1 {
		return 0
	}
	return 1 + rand.IntN(len(c.hops)-1)
}
