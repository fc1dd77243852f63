package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"safing/netmap"
	"safing/port17/route"
)

// A chooser chooses the nodes of tunnels, entry first. It may be called from
// several goroutines, each with a source of randomness of its own.
type chooser interface {
	// entries returns how many a client has, and for how long it keeps one, in
	// days.
	entries() (count int, least, most float64)
	// renew draws one of the client's entries anew, and returns it.
	renew(r *rand.Rand, client, which int) (entry int)
	// choose returns indexes of Nodes.
	choose(r *rand.Rand, client, destination int) ([]int, error)
}

// A client enters by so many entries, as long as all answer, and keeps each for
// so many days: the same as in port17/client.
const (
	entryCount = 2
	entryLeast = 90
	entryMost  = 120
)

// A Port17 chooses by the code that clients run.
type Port17 struct {
	w      *World
	finder *route.Finder
	index  []int // in the world of the map's nodes
	level  route.Level
	chosen [][]netmap.NodeID // entries of clients
	rule   entryRule         // nil: as clients draw them
}

// newPort17 prepares the network of a world for tunnels of a level.
func newPort17(w *World, m *netmap.Map, level route.Level) *Port17 {
	return portOver(w, route.New(m), level)
}

// portOver uses a finder that there is.
func portOver(w *World, f *route.Finder, level route.Level) *Port17 {
	m := f.Map()
	p := &Port17{w: w, finder: f, level: level, index: make([]int, len(m.Nodes)), chosen: make([][]netmap.NodeID, len(w.Clients))}
	for i := range w.Nodes {
		if at, ok := m.Index(w.identity(i)); ok {
			p.index[at] = i
		}
	}
	return p
}

// node returns the index in the world of a node on the map.
func (p *Port17) node(id netmap.NodeID) int {
	at, _ := p.finder.Map().Index(id) // it comes from there
	return p.index[at]
}

func (p *Port17) entries() (count int, least, most float64) {
	return entryCount, entryLeast, entryMost
}

func (p *Port17) renew(r *rand.Rand, client, which int) (entry int) {
	have := slices.Clone(p.chosen[client]) // routes may be found by the old ones meanwhile
	if which < len(have) {
		have = slices.Delete(have, which, which+1)
	}
	draw := func() (netmap.NodeID, bool) { return p.finder.DrawEntry(have) }
	id, ok := draw()
	if ok && p.rule != nil {
		id, ok = p.rule(p, r, client, draw)
	}
	if !ok {
		return noEntry
	}
	p.chosen[client] = slices.Insert(have, min(which, len(have)), id)
	return p.node(id)
}

// noEntry means that there was none to draw.
const noEntry = -1

func (p *Port17) choose(r *rand.Rand, client, destination int) ([]int, error) {
	q := p.request(client, destination)
	q.Rand = r
	found, err := p.finder.Find(q)
	if err != nil {
		return nil, err
	}
	nodes := make([]int, len(found.Nodes))
	for i, n := range found.Nodes {
		nodes[i] = p.node(n.ID)
	}
	return nodes, nil
}

// request is what the client would ask for. It knows the destination's country
// and network from a database, which is of no use if that is everywhere.
func (p *Port17) request(client, destination int) route.Request {
	d := &p.w.Destinations[destination]
	q := route.Request{
		Destination: netip.AddrPortFrom(d.Addr, 443), Level: p.level, Entries: p.chosen[client],
		EntryRTT: make(map[netmap.NodeID]time.Duration, entryCount),
	}
	if !d.Anycast {
		q.Country, q.ASN = p.w.Cities[d.City].Country, p.w.ASes[d.AS].Number
	}
	for _, id := range q.Entries {
		q.EntryRTT[id] = p.w.RTT(p.w.Clients[client], p.w.Nodes[p.node(id)].Site)
	}
	return q
}

// String says what it is.
func (p *Port17) String() string { return fmt.Sprintf("Port17, %s", p.level) }
