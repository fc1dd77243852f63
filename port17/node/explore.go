package node

import (
	"context"
	"math/rand/v2"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/link"
)

const (
	defaultExplore = 2 * time.Minute
	firstExplore   = 10 * time.Second // after the start
	explored       = 2                // nodes at a time

	probePings = 200 * time.Millisecond // between those of a link that is only measured
	probeTime  = time.Second            // that pings take, after the handshake
)

// explore measures the round trips to nodes that may be nearer than the
// neighbours, a few at a time.
func (n *Node) explore(ctx context.Context) {
	timer := time.NewTimer(spread(min(firstExplore, n.config.Explore)))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for _, to := range n.candidates() {
			rtt, err := n.probe(ctx, to)
			if err != nil {
				n.config.Log.Debug("a node could not be measured", "node", to.ID.Short(), "error", err)
				continue
			}
			n.mu.Lock()
			n.measuredLocked(to.ID, rtt, time.Now())
			n.mu.Unlock()
			n.rethink()
		}
		timer.Reset(spread(n.config.Explore))
	}
}

// spread returns about the time, so that nodes that started together don't go on
// together.
func spread(d time.Duration) time.Duration { return d - d/4 + rand.N(d/2+1) }

// candidates returns nodes that are to be measured now.
func (n *Node) candidates() (all []netmap.Node) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.usableLocked()
	if m == nil || n.selection == nil || n.refusal() == cell.ShuttingDown {
		return nil
	}
	for _, id := range n.selection.Candidates(explored, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))) {
		if to, ok := m.Node(id); ok {
			all = append(all, to)
		}
	}
	return all
}

// probe measures the round trip to a node over a link that looks like a
// client's: so the other side can't treat it better than others, and does not
// publish it.
func (n *Node) probe(ctx context.Context, to netmap.Node) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	l, err := link.Dial(ctx, to, link.Config{PingEvery: probePings, Policies: n.policies, Log: n.config.Log})
	if err != nil {
		return 0, err
	}
	defer func() {
		l.Close()
		<-l.Done()
	}()
	select {
	case <-l.Measured():
	case <-l.Done():
		return 0, l.Err()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	select {
	case <-time.After(probeTime):
		return l.RTT(), nil
	case <-l.Done():
		return 0, l.Err()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
