package node

import (
	"context"
	"time"

	"safing/port17/cell"
	"safing/port17/link"
)

const (
	withdrawTimeout = 5 * time.Second // to tell the authorities
	farewell        = 2 * time.Second // for what is queued when a node stops
)

// Drain prepares the node's end. It takes no links and circuits any more, and
// has the authorities leave it out of the map, so that clients take other nodes.
// It returns once the circuits that it has have ended. When the context ends
// before, it ends the rest as [cell.ShuttingDown]. Close is to follow.
func (n *Node) Drain(ctx context.Context) {
	n.refusing.Store(uint32(cell.ShuttingDown))
	n.closeListeners()
	withdraw, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	if err := n.publishNow(withdraw); err != nil {
		n.config.Log.Warn("the authorities were not told that the node stops", "error", err)
	}
	select {
	case <-n.circuits.gone():
	case <-ctx.Done():
		left := n.circuits.all()
		n.config.Log.Info("circuits are ended, as the time to drain is over", "circuits", len(left))
		for _, r := range left {
			r.end(cell.ShuttingDown, 0)
		}
	}
	n.finish()
}

// finish sends what is queued on all links, within a time.
func (n *Node) finish() {
	late := time.After(farewell)
	for _, l := range n.openLinks() {
		l.Finish()
	}
	for _, l := range n.openLinks() {
		select {
		case <-l.Done():
		case <-late:
			return
		}
	}
}

func (n *Node) openLinks() []*link.Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	var open []*link.Link
	for l := range n.links {
		open = append(open, l)
	}
	return open
}

// refusal says why the node takes no circuits at the moment; 0 if it does.
func (n *Node) refusal() cell.Reason { return cell.Reason(n.refusing.Load()) }

// refused receives what comes for a circuit that was refused.
type refused struct{}

func (refused) Receive([]byte)            {}
func (refused) Closed(cell.Reason, uint8) {}
