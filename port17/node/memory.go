package node

import (
	"cmp"
	"context"
	"slices"

	"safing/port17/cell"
)

const maxCells = 256 << 10 // in queues of one node, 1 GiB

// full says whether there is no memory for more cells. When there soon will be
// none, the circuits that hold most are ended, so that it does not come to that
// for the others.
func (n *Node) full() bool {
	used := n.pool.Used()
	if used > n.maxCells-n.maxCells/16 {
		select {
		case n.tight <- struct{}{}:
		default:
		}
	}
	return used > n.maxCells
}

// relieve ends the greediest circuits whenever memory is tight. It ends many at
// once where none has much: looking for them takes a while.
func (n *Node) relieve(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.tight:
			n.endGreediest(n.pool.Used() - (n.maxCells - n.maxCells/8))
		}
	}
}

// endGreediest drops what waits for circuits that have ended, which nobody waits
// for any more, and then ends those that hold most, until so many cells have been
// given back.
func (n *Node) endGreediest(cells int64) {
	for _, l := range n.openLinks() {
		cells -= int64(l.DropEnding())
	}
	type holder struct {
		*relay
		cells int64
	}
	var holders []holder
	for _, r := range n.circuits.all() {
		if held := r.held(); held > 0 {
			holders = append(holders, holder{r, held})
		}
	}
	slices.SortFunc(holders, func(a, b holder) int { return cmp.Compare(b.cells, a.cells) })
	for _, h := range holders {
		if cells <= 0 {
			return
		}
		cells -= h.cells
		h.abort(cell.OutOfMemory)
	}
}

// held returns how many cells the circuit has, at least.
func (r *relay) held() int64 {
	held := r.back.Queued()
	r.mu.Lock()
	next, mux, mix := r.next, r.mux, r.mix
	r.mu.Unlock()
	if next != nil {
		held += next.Queued()
	}
	if mux != nil {
		held += (mux.Held() + cell.Size - 1) / cell.Size
	}
	if mix != nil {
		held += mix.back.waiting() + mix.forward.waiting()
	}
	return int64(held)
}

// abort ends the circuit and drops what it has queued.
func (r *relay) abort(reason cell.Reason) {
	r.back.Abort(reason, 0)
	r.mu.Lock()
	next := r.next
	r.mu.Unlock()
	if next != nil {
		next.Abort(reason, 0)
	}
	r.end(reason, 0)
}
