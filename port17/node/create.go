package node

import (
	"errors"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/link"
	"safing/tinker"
)

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
			if !r.node.handshakes.add(r.share, func() { r.handshake(burst) }) {
				r.end(cell.Busy, 0)
			}
		}
	}
	return cells
}

// handshake answers the hello. A worker calls it.
func (r *relay) handshake(burst []byte) {
	if r.hasEnded() {
		return // while it waited, and so costs no more
	}
	r.node.answered.Add(1)
	if reason := r.answer(burst); reason != 0 {
		r.end(reason, 0)
	}
}

func (r *relay) hasEnded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

func (r *relay) answer(burst []byte) cell.Reason {
	hello, err := cell.ParseHello(burst)
	if err != nil {
		return cell.BadHello
	}
	response, err := r.node.keys.Respond(circuit.Label, hello)
	if err != nil && link.HelloReason(err) == cell.UnknownPrekey {
		r.sendRetry()
	}
	if err != nil {
		return link.HelloReason(err)
	}
	response.Early.Close() // what comes early is in the hello
	p, rest, err := cell.ParseParameters(response.Payload)
	if err != nil {
		response.Session.Close()
		return cell.Protocol
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		response.Session.Close()
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

// sendRetry tells the origin what prekeys there are, if that fits a cell.
func (r *relay) sendRetry() {
	retry, err := tinker.Retry(r.node.retry())
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
	if !r.node.circuits.extend(r, l) {
		return cell.Busy
	}
	burst := make([]byte, size)
	place, padding := cell.PutHello(burst, len(hello))
	copy(place, hello)
	tinker.NewPadding().Fill(padding)
	cells := circuit.Cells(burst, &r.node.pool)
	next, err := l.Open((*backward)(r), cells)
	if err != nil {
		r.node.pool.PutAll(cells)
		if errors.Is(err, link.ErrTooManyLegs) {
			return cell.Busy
		}
		return cell.NoLink
	}
	r.next = next
	r.ready.Store(true)
	return 0
}
