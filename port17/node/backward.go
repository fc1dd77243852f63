package node

import (
	"safing/port17/cell"
	"safing/port17/link"
)

// A backward receives the cells of a circuit that come from the next node.
type backward relay

// Receive implements link.Receiver: it adds this node's layer.
func (w *backward) Receive(cells []byte) {
	r := (*relay)(w)
	var reason cell.Reason
	var distance uint8
	if r.mix != nil {
		reason, distance = r.waitBack(cells)
	} else {
		r.sealing.Lock()
		reason, distance = r.passBackLocked(cells)
		r.sealing.Unlock()
	}
	if reason != 0 {
		r.end(reason, distance)
	}
}

// passBackLocked returns why the circuit has to end, and at which distance.
func (r *relay) passBackLocked(cells []byte) (reason cell.Reason, distance uint8) {
	if r.lost {
		return 0, 0 // it is ending
	}
	var batch [link.MaxCells]*cell.Buf
	n := 0
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		if c := cell.ParseHeader(cells).Command; c != cell.Relay && c != cell.Created {
			r.lost = true
			r.node.pool.PutAll(batch[:n])
			return cell.Protocol, 1
		}
		b := r.node.pool.Get()
		batch[n] = b
		n++
		if err := r.onion.Seal(b[cell.HeaderSize:], cells[cell.HeaderSize:cell.Size]); err != nil {
			return r.sendBackLocked(err, batch[:n]), 0
		}
	}
	return r.sendBackLocked(nil, batch[:n]), 0
}

// sendBackLocked queues cells for the origin that were sealed, unless that has
// failed. When they can't be sent, what is sealed later would not open: nothing
// more is, so that the origin learns of the reason and of nothing else.
func (r *relay) sendBackLocked(sealed error, cells []*cell.Buf) (reason cell.Reason) {
	if sealed == nil {
		reason = push(r.node, r.back, cells)
	} else {
		r.node.pool.PutAll(cells)
		reason = openReason(sealed)
	}
	r.lost = r.lost || reason != 0
	return reason
}

// Closed implements link.Receiver.
func (w *backward) Closed(reason cell.Reason, distance uint8) {
	r := (*relay)(w)
	if r.node.closing.Load() { // the link broke at this end
		reason, distance = cell.ShuttingDown, 0
	} else {
		distance = min(distance, 254) + 1
	}
	_, back := r.outlets()
	after(back, func() {
		r.back.Close(reason, distance)
		r.shut(reason, func(*link.Leg) {})
	})
}
