package node

import (
	"time"

	"safing/port17/cell"
	"safing/tinker"
)

// renewLeast is how often the origin may renew a circuit's keys, which costs a
// quarter of a millisecond each time.
const renewLeast = time.Second

// renew takes part in a step of the ratchet. The forward reader calls it.
func (r *relay) renew(content []byte) cell.Reason {
	offer, err := tinker.ParseStep(content)
	if err != nil {
		return cell.Protocol
	}
	if len(offer) == 0 {
		return 0 // the end of a step
	}
	now := time.Now()
	if now.Sub(r.renewed) < renewLeast {
		return cell.Protocol
	}
	r.renewed = now
	step, err := r.session.Accept(offer, r.node.keys.step)
	if err != nil {
		return cell.Protocol
	}
	b := r.node.pool.Get()
	payload := b[cell.HeaderSize:]
	tinker.PutStep(payload[1:][:cell.ContentSize(r.position)], step.Message)
	r.sealing.Lock()
	defer r.sealing.Unlock()
	if r.lost {
		r.node.pool.Put(b)
		return 0 // it is ending
	}
	return r.sendBackLocked(r.onion.SealOwn(payload, tinker.LayerStep, step), []*cell.Buf{b})
}
