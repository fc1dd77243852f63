package circuit

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"safing/port17/cell"
	"safing/tinker"
)

// The keys of a circuit are renewed with every node after a minute, or when a
// gigabyte has moved, but not more often than every two seconds: so often
// nodes put up with it.
const (
	renewEvery = time.Minute
	renewCells = 1 << 30 / cell.Size
	renewLeast = 2 * time.Second
)

// A renewal says when the circuit's keys are renewed next.
type renewal struct {
	moved atomic.Int64 // cells since the last time

	mu      sync.Mutex // held for offers and their answers; sealing is not taken meanwhile
	timer   *time.Timer
	last    time.Time
	steps   int // that are complete
	stopped bool
}

func (r *renewal) begin(c *Circuit) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopped {
		r.last = time.Now()
		r.timer = time.AfterFunc(renewEvery, c.renew)
	}
}

func (r *renewal) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	if r.timer != nil {
		r.timer.Stop()
	}
}

// count counts cells in either direction, after the circuit was built.
func (r *renewal) count(cells int) {
	if n := r.moved.Add(int64(cells)); n >= renewCells && n-int64(cells) < renewCells {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.stopped && r.timer != nil {
			r.timer.Reset(max(0, renewLeast-time.Since(r.last)))
		}
	}
}

// renew offers each node a step of the ratchet. A node that has not completed
// the last one is left out: if it never does, the session's limits end the
// circuit.
func (c *Circuit) renew() {
	offers, err := c.offers()
	if err != nil {
		c.fail(fmt.Errorf("renew keys: %w", err), cell.Finished)
		return
	}
	for hop, offer := range offers {
		if offer != nil {
			c.sendStep(hop, offer, nil)
		}
	}
}

// offers returns an offer for each node that is offered one. The error is that no
// suite may be used any more.
func (c *Circuit) offers() ([][]byte, error) {
	r := &c.renewal
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil, nil
	}
	r.moved.Store(0)
	r.last = time.Now()
	r.timer.Reset(renewEvery)
	offers := make([][]byte, len(c.sessions))
	for hop, s := range c.sessions {
		suite := s.Suite()
		if c.policies != nil {
			var err error
			if suite, err = c.policies.Next(suite); err != nil {
				return nil, err
			}
		}
		if offer, err := s.Offer(suite); err == nil {
			offers[hop] = offer
		}
	}
	return offers, nil
}

// complete takes a node's answer.
func (c *Circuit) complete(hop int, content []byte) error {
	accept, err := tinker.ParseStep(content)
	if err != nil {
		return errProtocol
	}
	c.renewal.mu.Lock()
	step, err := c.sessions[hop].Complete(accept)
	if err == nil {
		c.renewal.steps++
	}
	c.renewal.mu.Unlock()
	if err != nil {
		return fmt.Errorf("renew keys: %w", err)
	}
	c.sendStep(hop, nil, step)
	return nil
}

// sendStep sends a node a message of the ratchet, or completes a step.
func (c *Circuit) sendStep(hop int, message []byte, step *tinker.Step) {
	b := c.pool.Get()
	payload := b[cell.HeaderSize:]
	tinker.PutStep(payload[hop+1:][:cell.ContentSize(c.position+hop)], message)
	c.sealing.Lock()
	defer c.sealing.Unlock()
	if c.lost {
		c.pool.Put(b)
		return
	}
	c.pushLocked(c.onion.SealFor(hop, payload, tinker.LayerStep, step), b)
}
