package node

import (
	"container/list"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit"
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

	sealing sync.Mutex // held while cells for the origin are sealed and queued

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
	if reason := r.passOn(cells); reason != 0 {
		r.end(reason, 0)
	}
}

// interrupt ends the circuit if its burst has not arrived by now, when the
// link's next one begins: so a link never holds more than one half burst, and
// nobody can fill the memory with first cells.
func (r *relay) interrupt() {
	if r.burst != nil {
		r.burst = nil
		r.end(cell.Protocol, 0)
	}
}

// collect gathers the burst and hands it to a worker once it is whole. It
// returns the cells behind it.
func (r *relay) collect(cells []byte) []byte {
	for len(cells) > 0 && r.burst != nil {
		if cell.ParseHeader(cells).Command != cell.Create {
			r.burst = nil
			r.end(cell.Protocol, 0)
			return nil
		}
		r.burst = append(r.burst, cells[cell.HeaderSize:cell.Size]...)
		cells = cells[cell.Size:]
		size, err := cell.ParseBurst(r.burst)
		if err != nil {
			r.burst = nil
			r.end(cell.Protocol, 0)
			return nil
		}
		if len(r.burst) == size {
			burst := r.burst
			r.burst = nil
			select {
			case r.node.handshakes <- func() { r.handshake(burst) }:
			default:
				r.end(cell.Busy, 0)
			}
		}
	}
	return cells
}

// handshake answers the hello. A worker calls it.
func (r *relay) handshake(burst []byte) {
	if reason := r.answer(burst); reason != 0 {
		r.end(reason, 0)
	}
}

func (r *relay) answer(burst []byte) cell.Reason {
	hello, err := cell.ParseHello(burst)
	if err != nil {
		return cell.BadHello
	}
	response, err := r.node.keys.Respond(circuit.Label, hello)
	if errors.Is(err, tinker.ErrUnknownPrekey) {
		r.sendRetry()
	}
	if err != nil {
		return helloReason(err)
	}
	p, rest, err := cell.ParseParameters(response.Payload)
	if err != nil {
		return cell.Protocol
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0
	}
	r.session, r.position = response.Session, p.Position
	r.onion = tinker.NewRelay(response.Session, cell.PayloadSize, p.Position, nil)
	if reason := r.mixLocked(p); reason != 0 {
		return reason
	}
	if r.mix != nil {
		return r.beginMixedLocked(p, rest, response.Reply, len(burst))
	}
	if err := r.sendReply(response.Reply); err != nil {
		return cell.QueueFull
	}
	if p.Exit {
		r.becomeExit(p)
	}
	return r.beginLocked(p, rest, len(burst))
}

// beginLocked passes the rest of the hello on, or serves it.
func (r *relay) beginLocked(p cell.Parameters, rest []byte, burst int) cell.Reason {
	if !p.Exit {
		return r.extendLocked(p.Next, rest, burst)
	}
	if r.mux.ReceiveFirst(rest) != nil {
		return cell.Protocol
	}
	r.ready.Store(true) // not before: the link's reader would overtake what came first
	return 0
}

func helloReason(err error) cell.Reason {
	switch {
	case errors.Is(err, tinker.ErrUnknownPrekey):
		return cell.UnknownPrekey
	case errors.Is(err, tinker.ErrReplay):
		return cell.Replayed
	case errors.Is(err, tinker.ErrFull):
		return cell.Busy
	case errors.Is(err, tinker.ErrClosed):
		return cell.ShuttingDown
	}
	return cell.BadHello
}

// sendRetry tells the origin what prekeys there are, if that fits a cell.
func (r *relay) sendRetry() {
	retry, err := tinker.Retry(r.node.published())
	if err == nil && len(retry) <= cell.PayloadSize-cell.Positions*tinker.LayerOverhead {
		r.sendReply(retry) //nolint:errcheck // the circuit ends in any case
	}
}

// sendReply sends the reply before anything else goes towards the origin.
func (r *relay) sendReply(reply []byte) error {
	b := r.node.pool.Get()
	payload := b[cell.HeaderSize:]
	tinker.NewPadding().Fill(payload[copy(payload, reply):])
	err := r.back.Push(cell.Created, b)
	if err != nil {
		r.node.pool.Put(b)
	}
	return err
}

// extendLocked passes the rest of the route on to the next node, in a burst of
// the same size.
func (r *relay) extendLocked(id [32]byte, hello []byte, size int) cell.Reason {
	l := r.node.next(id)
	if l == nil {
		return cell.NoLink
	}
	burst := make([]byte, size)
	place, padding := cell.PutHello(burst, len(hello))
	copy(place, hello)
	tinker.NewPadding().Fill(padding)
	cells := circuit.Cells(burst, &r.node.pool)
	next, err := l.Open((*backward)(r), cells)
	if err != nil {
		r.node.pool.PutAll(cells)
		return cell.NoLink
	}
	r.next = next
	r.ready.Store(true)
	return 0
}

// passOn opens this node's layer of cells from the origin and passes them on.
func (r *relay) passOn(cells []byte) cell.Reason {
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
			if pool.Used() > maxCells { // what nobody reads stays in its cells
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
	if n.pool.Used() > maxCells {
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
	r.back.Close(reason, distance)
	r.shut(reason, func(next *link.Leg) { next.Close(reason, 0) })
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
}
