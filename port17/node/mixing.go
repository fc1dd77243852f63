package node

import (
	"sync/atomic"

	"safing/port17/cell"
	"safing/port17/link"
	"safing/port17/shape"
	"safing/tinker"
)

// paddedCircuits is how many circuits a node pads at its greatest rate; more, if
// they want less.
const paddedCircuits = 64

// A mixing is what a circuit has that asks for delays or padding.
type mixing struct {
	forward *outlet // nil without delays
	back    *outlet
	padding shape.Shape
	layer   byte // type of what goes back

	replied atomic.Bool // the node's reply has left
}

// adaptive says whether padding depends on what passes.
func (m *mixing) adaptive() bool {
	return m.padding.Kind != shape.None && m.padding.Kind != shape.Constant
}

// mixLocked gives the circuit what it asks for. The caller holds mu.
func (r *relay) mixLocked(p cell.Parameters) cell.Reason {
	if p.Delay == 0 && p.Padding == (shape.Shape{}) {
		return 0
	}
	offer := r.node.Descriptor()
	if p.Delay > offer.MaxDelay || p.Padding.Rate > offer.MaxPadding {
		return cell.NotOffered
	}
	if !r.node.padding.take(&r.share.padding, p.Padding.Rate) {
		return cell.Busy
	}
	m := &mixing{padding: p.Padding, layer: tinker.LayerRelay}
	if p.Exit {
		m.layer = tinker.LayerLocal
	}
	r.mix = m
	if p.Delay > 0 {
		m.forward = r.node.mixer.outlet(p.Delay, shape.Shape{}, link.QueueLimit, r.leaveForward)
	}
	m.back = r.node.mixer.outlet(p.Delay, p.Padding, link.QueueLimit, r.leaveBack)
	return 0
}

// beginMixedLocked does what every circuit begins with, after delays: who sees
// the handshakes on both sides learns as little from their times as from those
// of other cells. The caller holds mu, which is why nothing may be done at once.
func (r *relay) beginMixedLocked(p cell.Parameters, rest, reply []byte, burst int) cell.Reason {
	waits := r.mix.back.then(func() {
		r.mix.replied.Store(true)
		if r.sendReply(reply) != nil {
			r.end(cell.QueueFull, 0)
		}
	})
	if !waits {
		return cell.ShuttingDown
	}
	if p.Exit {
		r.becomeExit(p)
	}
	if r.mix.forward == nil {
		return r.beginLocked(p, rest, burst)
	}
	if p.Exit {
		r.ready.Store(true) // cells wait behind what came first
	}
	waits = r.mix.forward.then(func() {
		reason := cell.Reason(0)
		r.mu.Lock()
		if !r.closed {
			reason = r.beginLocked(p, rest, burst)
		}
		r.mu.Unlock()
		if reason != 0 {
			r.end(reason, 0)
		}
	})
	if !waits {
		return cell.ShuttingDown
	}
	return 0
}

// unmix ends the circuit's delays and padding.
func (r *relay) unmix(m *mixing) {
	if m == nil {
		return
	}
	if m.forward != nil {
		m.forward.close()
	}
	m.back.close()
	r.node.padding.give(&r.share.padding, m.padding.Rate)
}

// outlets are where the circuit's cells wait; nil where they don't.
func (r *relay) outlets() (forward, back *outlet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mix == nil {
		return nil, nil
	}
	return r.mix.forward, r.mix.back
}

// after calls do once what waits at the outlet has left.
func after(o *outlet, do func()) {
	if o == nil || !o.then(do) {
		do()
	}
}

// wait lets cells wait at an outlet, behind which is the leg, or gives them back
// and returns why it can't.
func (r *relay) wait(o *outlet, leg *link.Leg, cells []*cell.Buf) cell.Reason {
	queued := 0
	if leg != nil {
		queued = leg.Queued()
	}
	reason := cell.OutOfMemory
	if !r.node.full() {
		if o.add(cells, queued) {
			return 0
		}
		reason = cell.QueueFull
	}
	r.node.pool.PutAll(cells)
	return reason
}

// pass lets cells from the origin wait, if they are to, or passes them on.
func (r *relay) pass(cells []*cell.Buf) cell.Reason {
	if r.mix == nil || len(cells) == 0 {
		return push(r.node, r.next, cells)
	}
	if r.mix.adaptive() {
		r.mix.back.seen()
	}
	if r.mix.forward == nil {
		return push(r.node, r.next, cells)
	}
	return r.wait(r.mix.forward, r.next, cells)
}

// leaveForward takes cells from the origin whose delays are over.
func (r *relay) leaveForward(cells []*cell.Buf, _ int) {
	if r.mux == nil {
		if reason := push(r.node, r.next, cells); reason != 0 {
			r.end(reason, 0)
		}
		return
	}
	for i, b := range cells {
		if r.mux.Receive(b, cell.HeaderSize, cell.HeaderSize+cell.ContentSize(r.position)) != nil {
			r.node.pool.PutAll(cells[i+1:])
			r.end(cell.Protocol, 0)
			return
		}
	}
}

// waitBack takes cells from the next node. They are sealed when they leave, as
// padding may leave before them.
func (r *relay) waitBack(cells []byte) (reason cell.Reason, distance uint8) {
	var batch [link.MaxCells]*cell.Buf
	n := 0
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		if c := cell.ParseHeader(cells).Command; c != cell.Relay && c != cell.Created {
			r.node.pool.PutAll(batch[:n])
			return cell.Protocol, 1
		}
		b := r.node.pool.Get()
		copy(b[cell.HeaderSize+1:], cells[cell.HeaderSize:][:cell.ContentSize(r.position)])
		batch[n] = b
		n++
	}
	return r.wait(r.mix.back, r.back, batch[:n]), 0
}

// leaveBack seals and sends what leaves towards the origin.
func (r *relay) leaveBack(cells []*cell.Buf, padding int) {
	r.sealing.Lock()
	reason := r.sealBackLocked(cells, padding)
	r.sealing.Unlock()
	if reason != 0 {
		r.end(reason, 0)
	}
}

func (r *relay) sealBackLocked(cells []*cell.Buf, padding int) cell.Reason {
	pool := &r.node.pool
	if r.lost {
		pool.PutAll(cells)
		return 0 // it is ending
	}
	for _, b := range cells {
		if err := r.onion.SealOwn(b[cell.HeaderSize:], r.mix.layer, nil); err != nil {
			return r.sendBackLocked(err, cells)
		}
	}
	// Padding that meets a queue, or the end of memory, helps nobody.
	if !r.mix.replied.Load() || r.back.Queued() > link.MaxCells || pool.Used() > r.node.maxCells/2 {
		padding = 0
	}
	for range padding {
		b := pool.Get()
		clear(b[:])
		cells = append(cells, b)
		if err := r.onion.SealOwn(b[cell.HeaderSize:], tinker.LayerDrop, nil); err != nil {
			return r.sendBackLocked(err, cells)
		}
	}
	return r.sendBackLocked(nil, cells)
}
