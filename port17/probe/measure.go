package probe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"safing/netmap"
	"safing/port17/cell"
)

// A Measurement is what one transfer through a node has shown.
type Measurement struct {
	Rate  uint64        // bytes a second, 0 if it failed
	Bytes int64         // that were moved in all
	Took  time.Duration // from the first byte to the last
	Path  []netmap.NodeID
}

// ErrNoPath means that there is no circuit over which the node can be measured:
// it is not on the map, has no links to others there, or no exit among them leads
// to the server.
var ErrNoPath = errors.New("there is no path to measure it on")

// Measure moves bytes from the server through the node for Config.Transfer, but
// no more than so many, nor than Config.MostBytes, and says how fast they came. The
// other nodes of the circuit are drawn anew each time; the slowest of all limits
// the rate, so that the best of some measurements is the node's. An exit is
// measured as one, in the second place; others in the middle of three, or
// in the first place if no neighbour is fast enough to be before them.
//
// The bytes are not known before they come, so the node cannot make them up. The
// first fifth of the time does not count, as a connection is slow at its start,
// or too fast where something was saved up: who holds back what comes in that time
// and adds it afterwards gains a quarter at most.
func (p *Prober) Measure(ctx context.Context, n netmap.Node, m *netmap.Map, most int64) (Measurement, error) {
	if p.config.Server == nil {
		return Measurement{}, errors.New("measure: there is no server to move bytes from")
	}
	nodes, to, ok := p.path(ctx, n, m)
	if !ok {
		return Measurement{}, ErrNoPath
	}
	c, err := p.dial(ctx, nodes...)
	if err != nil {
		return Measurement{}, err
	}
	defer c.close() //nolint:errcheck // it is nil
	result, err := p.transfer(ctx, c, to, min(most, p.config.MostBytes))
	result.Path = c.nodes
	return result, err
}

// path chooses the circuit's nodes and where it leads.
func (p *Prober) path(ctx context.Context, n netmap.Node, m *netmap.Map) (nodes []netmap.Node, to cell.Target, ok bool) {
	if allowed, _ := p.targets(ctx, n); len(allowed) > 0 {
		entries := partners(n, m, func(netmap.Node) bool { return true })
		if len(entries) == 0 {
			return nil, to, false
		}
		return []netmap.Node{entries[0], n}, allowed[0], true
	}
	var last netmap.Node
	exits := partners(n, m, func(e netmap.Node) bool { return e.Flags&netmap.FlagBadExit == 0 && len(e.Exit.Rules()) > 0 })
	for _, e := range exits {
		if allowed, _ := p.targets(ctx, e); len(allowed) > 0 {
			last, to = e, allowed[0]
			break
		}
	}
	if last.Descriptor == nil {
		return nil, to, false
	}
	entries := partners(n, m, func(e netmap.Node) bool { return e.ID != last.ID })
	if len(entries) == 0 || entries[0].Measured < min(2*n.Measured, last.Measured/2) {
		return []netmap.Node{n, last}, to, true // as the entry would be what is measured
	}
	return []netmap.Node{entries[0], n, last}, to, true
}

func (p *Prober) transfer(ctx context.Context, c *path, to cell.Target, most int64) (Measurement, error) {
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout+2*p.config.Transfer)
	defer cancel()
	t := newTicket(hostOf(to), max(most, 1))
	p.config.Server.issue(t)
	defer p.config.Server.revoke(t)
	s, done, err := c.open(ctx, to, t.request)
	if err != nil {
		return Measurement{}, err
	}
	defer done()
	var w meter
	err = t.compare(s, func(n int) bool { return w.count(time.Now(), n) < p.config.Transfer })
	result := Measurement{Bytes: w.bytes, Took: w.took()}
	if err != nil {
		return result, fmt.Errorf("move bytes: %w", errors.Join(err, ctx.Err()))
	}
	result.Rate = w.rate()
	return result, nil
}

// A meter counts bytes as they come.
type meter struct {
	bytes  int64
	points []point
}

// A point is how many bytes had come when.
type point struct {
	at    time.Time
	bytes int64
}

const pointEvery = 5 * time.Millisecond

// count returns for how long bytes have come.
func (m *meter) count(now time.Time, n int) time.Duration {
	m.bytes += int64(n)
	if k := len(m.points); k < 2 || now.Sub(m.points[k-2].at) >= pointEvery {
		m.points = append(m.points, point{})
	}
	m.points[len(m.points)-1] = point{now, m.bytes}
	return m.took()
}

func (m *meter) took() time.Duration {
	if len(m.points) == 0 {
		return 0
	}
	return m.points[len(m.points)-1].at.Sub(m.points[0].at)
}

// rate is in bytes a second, without the first fifth of the time. It is 0 if all
// came at once.
func (m *meter) rate() uint64 {
	took := m.took()
	if took <= 0 {
		return 0
	}
	last := m.points[len(m.points)-1]
	for _, p := range m.points {
		if p.at.Sub(m.points[0].at) >= took/5 && p.at.Before(last.at) {
			return uint64(float64(last.bytes-p.bytes) / last.at.Sub(p.at).Seconds())
		}
	}
	return uint64(float64(m.bytes) / took.Seconds())
}
