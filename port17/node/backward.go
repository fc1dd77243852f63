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
		reason, distance = w.passBack(cells)
		r.sealing.Unlock()
	}
	if reason != 0 {
		r.end(reason, distance)
	}
}

// passBack returns why the circuit has to end, and at which distance.
func (w *backward) passBack(cells []byte) (reason cell.Reason, distance uint8) {
	r := (*relay)(w)
	var batch [link.MaxCells]*cell.Buf
	n := 0
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		if c := cell.ParseHeader(cells).Command; c != cell.Relay && c != cell.Created {
			r.node.pool.PutAll(batch[:n])
			return cell.Protocol, 1
		}
		b := r.node.pool.Get()
		batch[n] = b
		n++
		if err := r.onion.Seal(b[cell.HeaderSize:], cells[cell.HeaderSize:cell.Size]); err != nil {
			r.node.pool.PutAll(batch[:n])
			return openReason(err), 0
		}
	}
	return push(r.node, r.back, batch[:n]), 0
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
