package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/link"
)

// A path is a circuit with the link that it goes over, which nothing else uses.
type path struct {
	*circuit.Circuit
	link  *link.Link
	nodes []netmap.NodeID
}

// dial builds a circuit through the nodes, and returns when all have replied.
// It ends with the context.
func (p *Prober) dial(ctx context.Context, nodes ...netmap.Node) (*path, error) {
	building, cancel := context.WithTimeout(ctx, 2*p.config.Timeout)
	defer cancel()
	var made path
	var hops []circuit.Hop
	for _, n := range nodes {
		to, err := n.Recipient(time.Now())
		if err != nil {
			return nil, err
		}
		hops = append(hops, circuit.Hop{Node: n, Recipient: to})
		made.nodes = append(made.nodes, n.ID)
	}
	var err error
	if made.link, err = link.Dial(building, nodes[0], link.Config{}); err != nil {
		return nil, err
	}
	if made.Circuit, _, err = circuit.Dial(made.link, hops, nil, nil, nil); err != nil {
		return nil, errors.Join(err, made.closeLink())
	}
	select {
	case <-made.Built():
		return &made, nil
	case <-made.Done():
		err = made.Err()
	case <-building.Done():
		err = building.Err()
	}
	return nil, errors.Join(fmt.Errorf("build circuit: %w", err), made.close())
}

func (p *path) close() error {
	p.Close() //nolint:errcheck // it is nil
	return p.closeLink()
}

func (p *path) closeLink() error {
	p.link.Close() //nolint:errcheck // it ends in any case
	<-p.link.Done()
	return nil
}

// open opens a stream that ends with the context.
func (p *path) open(ctx context.Context, t cell.Target, early []byte) (*stream.Stream, func(), error) {
	s, err := p.Open(t, early)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { s.Reset(cell.Finished) })
	return s, func() {
		stop()
		s.Reset(cell.Finished) // what is under way is of no use
	}, nil
}

// enough is among how many partners one is drawn at least, as far as there are so
// many that are half as fast as the fastest.
const enough = 3

// partners returns the node's neighbours that pass the test in a random order of
// preference: before others those which were measured to carry twice what the node
// can, or the fastest, if there are few of these; so does sbws, so that it is the
// node that is measured and not its partner. Those of another owner come before
// the node's own.
func partners(n netmap.Node, m *netmap.Map, fits func(netmap.Node) bool) []netmap.Node {
	i, ok := m.Index(n.ID)
	if !ok {
		return nil
	}
	var strangers, own []netmap.Node
	now := time.Now()
	for _, e := range m.Edges(i) {
		other := m.Nodes[e.To]
		if _, err := other.Prekey(now); err != nil || other.Closed || !fits(other) {
			continue
		}
		if other.Owner == n.Owner {
			own = append(own, other)
		} else {
			strangers = append(strangers, other)
		}
	}
	return append(fastFirst(strangers, 2*n.Measured), fastFirst(own, 2*n.Measured)...)
}

// fastFirst shuffles those that carry at least so much, or the fastest, and puts
// the others behind them, the fastest first.
func fastFirst(nodes []netmap.Node, least uint64) []netmap.Node {
	shuffle := func(part []netmap.Node) {
		rand.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
	}
	shuffle(nodes) // those of which nothing is known are equal
	slices.SortStableFunc(nodes, func(a, b netmap.Node) int { return cmp.Compare(b.Measured, a.Measured) })
	fast := 0
	for _, n := range nodes {
		if n.Measured >= max(least, 1) || fast < enough && n.Measured >= nodes[0].Measured/2 {
			fast++
		}
	}
	shuffle(nodes[:fast])
	return nodes
}
