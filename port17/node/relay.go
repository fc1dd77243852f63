package node

import (
	"container/list"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit/stream"
	"safing/port17/link"
	"safing/tinker"
)

// A relay is one circuit at this node. It receives the cells from the origin's
// side; a backward receives those from the other.
type relay struct {
	node  *Node
	back  *link.Leg
	share *share // of the link that it came over

	// Guarded by node.circuits.mu.
	begun time.Time
	place *list.Element // nil when it has ended
	over  *link.Link    // on which it goes on; nil when it does not yet

	// Owned by the origin's side's reader.
	burst   []byte
	renewed time.Time // when the origin asked for new keys last

	// Set before ready, which says that the handshake is done and the next node
	// was asked.
	session  *tinker.Session
	position int
	onion    *tinker.Relay
	mux      *stream.Mux // exits only
	ready    atomic.Bool

	opening sync.Mutex // held while cells from the origin are opened
	sealing sync.Mutex // held while cells for the origin are sealed and queued
	lost    bool       // some could not be sent, so what is behind them is worth nothing

	// mu is held while the handshake's result comes into force, and by those
	// who end the circuit.
	mu     sync.Mutex
	next   *link.Leg // relays only
	mix    *mixing   // nil unless the circuit asks for delays or padding
	closed bool
}

// newRelay is asked by links when somebody creates a circuit. It returns nil when
// the link may have no more.
func (n *Node) newRelay(back *link.Leg, s *share) *relay {
	r := &relay{node: n, back: back, share: s}
	if !n.circuits.add(r) {
		n.ended.circuits.add(cell.Busy)
		return nil
	}
	r.burst = make([]byte, 0, cell.LeastBurst*cell.PayloadSize)
	return r
}

// Receive implements link.Receiver for the origin's side.
func (r *relay) Receive(cells []byte) {
	if r.burst != nil {
		cells = r.collect(cells)
	}
	if len(cells) == 0 {
		return
	}
	if !r.ready.Load() {
		// The last reply may have overtaken this node's own work.
		r.mu.Lock()
		ready := r.ready.Load()
		r.mu.Unlock()
		if !ready {
			r.end(cell.Protocol, 0)
			return
		}
	}
	if r.mux != nil {
		r.node.exit.passed.Add(uint64(len(cells) / cell.Size))
	}
	if reason := r.passOn(cells); reason != 0 {
		r.end(reason, 0)
	}
}

// passOn opens this node's layer of cells from the origin and passes them on.
func (r *relay) passOn(cells []byte) cell.Reason {
	r.opening.Lock()
	defer r.opening.Unlock()
	var batch [link.MaxCells]*cell.Buf
	n := 0
	pool := &r.node.pool
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		if cell.ParseHeader(cells).Command != cell.Relay {
			pool.PutAll(batch[:n])
			return cell.Protocol
		}
		b := pool.Get()
		// The type lands in the header's last byte, which is written later.
		typ, content, err := r.onion.Open(b[cell.HeaderSize-1:], cells[cell.HeaderSize:cell.Size])
		switch {
		case err != nil:
			pool.Put(b)
			pool.PutAll(batch[:n])
			return openReason(err)
		case typ == tinker.LayerLocal && r.mux != nil && (r.mix == nil || r.mix.forward == nil):
			if r.node.full() { // what nobody reads stays in its cells
				pool.Put(b)
				return cell.OutOfMemory
			}
			if r.mux.Receive(b, cell.HeaderSize, cell.HeaderSize+len(content)) != nil {
				return cell.Protocol
			}
		case typ == tinker.LayerStep:
			reason := r.renew(content)
			pool.Put(b)
			if reason != 0 {
				pool.PutAll(batch[:n])
				return reason
			}
		case typ == tinker.LayerRelay && r.mux == nil, typ == tinker.LayerLocal && r.mux != nil:
			batch[n] = b
			n++
		default:
			pool.Put(b)
		}
	}
	return r.pass(batch[:n])
}

// openReason is why a circuit ends whose cell could not be opened or sealed.
func openReason(err error) cell.Reason {
	if errors.Is(err, tinker.ErrExpired) {
		return cell.Expired
	}
	return cell.Altered
}

// push queues cells, and gives them back when that fails.
func push(n *Node, leg *link.Leg, cells []*cell.Buf) cell.Reason {
	if len(cells) == 0 {
		return 0
	}
	reason := cell.Reason(0)
	if n.full() {
		reason = cell.OutOfMemory
	} else if err := leg.Push(cell.Relay, cells...); errors.Is(err, link.ErrQueueFull) {
		reason = cell.QueueFull
	} else if err != nil {
		n.pool.PutAll(cells)
		return 0 // it is ending anyhow
	}
	if reason != 0 {
		n.pool.PutAll(cells)
	}
	return reason
}

// Closed implements link.Receiver for the origin's side.
func (r *relay) Closed(reason cell.Reason, _ uint8) {
	r.burst = nil
	forward, _ := r.outlets()
	after(forward, func() {
		r.shut(reason, func(next *link.Leg) { next.Close(reason, 0) })
	})
}

// end ends the circuit in both directions because of what happened here or
// behind, at the distance.
func (r *relay) end(reason cell.Reason, distance uint8) {
	closing := (*link.Leg).Close
	switch reason {
	case cell.Protocol, cell.Altered, cell.QueueFull, cell.OutOfMemory: // what is queued is worth nothing
		closing = (*link.Leg).Abort
	}
	closing(r.back, reason, distance)
	r.shut(reason, func(next *link.Leg) { closing(next, reason, 0) })
}

func (r *relay) shut(reason cell.Reason, closeNext func(*link.Leg)) {
	r.mu.Lock()
	next, mux, mix, was := r.next, r.mux, r.mix, r.closed
	r.closed = true
	r.mu.Unlock()
	if was {
		return
	}
	r.node.ended.circuits.add(reason)
	r.node.circuits.remove(r)
	r.unmix(mix)
	if next != nil {
		closeNext(next)
	}
	if mux != nil {
		mux.Close(&stream.Error{Reason: reason})
	}
	r.forget()
}

// forget forgets the circuit's keys, once no cell is being opened or sealed.
func (r *relay) forget() {
	r.mu.Lock()
	session := r.session
	r.mu.Unlock()
	if session == nil {
		return
	}
	r.opening.Lock()
	defer r.opening.Unlock()
	r.sealing.Lock()
	defer r.sealing.Unlock()
	r.lost = true
	session.Close()
}
