package authority

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"safing/netmap"
)

// facts are what of a signed descriptor, or of keys, decides about a map.
type facts struct {
	id        netmap.NodeID
	published time.Time
	binding   [32]byte
	closed    bool
	capacity  uint64 // that the node declares; 0 if it does not
	appeal    string // to moderators
	room      room
}

// A member is a node as the votes have it on the map.
type member struct {
	id         netmap.NodeID
	descriptor digest
	keys       digest
	trusted    bool
	badExit    bool
	capacity   uint64 // measured; 0 if too few have measured it
}

func (m *member) flags() (f netmap.Flags) {
	if m.trusted {
		f |= netmap.FlagTrusted
	}
	if m.badExit {
		f |= netmap.FlagBadExit
	}
	return f
}

// A tally counts votes. It is a pure function of its fields and the votes, so
// that all who count the same votes have the same map.
type tally struct {
	quorum   *quorum
	facts    map[digest]facts // of all that agreed returns
	standing *netmap.Standing // what the statements in the votes come to
}

// byNode gathers what the votes say of each node.
func byNode(votes []*vote) map[netmap.NodeID][]*opinion {
	opinions := make(map[netmap.NodeID][]*opinion)
	for _, v := range votes {
		for i := range v.opinions {
			o := &v.opinions[i]
			opinions[o.ID] = append(opinions[o.ID], o)
		}
	}
	return opinions
}

// agreed returns the descriptors and keys that enough of the votes name for a
// node, and that tally.members needs. At least one of those who named each is
// honest and hands it out, as long as not more are hostile than may be.
func (q *quorum) agreed(votes []*vote) []digest {
	all := make(map[digest]bool)
	for _, opinions := range byNode(votes) {
		for _, named := range []func(*opinion) []digest{descriptors, keys} {
			for _, d := range q.named(opinions, named) {
				all[d] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(all), compareDigests)
}

// named returns what enough of the opinions on one node name.
func (q *quorum) named(opinions []*opinion, named func(*opinion) []digest) []digest {
	count := make(map[digest]int)
	for _, o := range opinions {
		for _, d := range named(o) {
			count[d]++
		}
	}
	maps.DeleteFunc(count, func(_ digest, n int) bool { return n < q.threshold })
	return slices.SortedFunc(maps.Keys(count), compareDigests)
}

func descriptors(o *opinion) []digest { return o.Descriptors }
func keys(o *opinion) []digest        { return o.Keys }

// members returns who is on the map, sorted by identity.
func (t *tally) members(votes []*vote) ([]member, error) {
	var all []member
	for id, opinions := range byNode(votes) {
		m, listed, err := t.member(id, opinions)
		if err != nil {
			return nil, err
		}
		if listed {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b member) int { return bytes.Compare(a.id[:], b.id[:]) })
	return t.fit(all), nil
}

func (t *tally) member(id netmap.NodeID, opinions []*opinion) (member, bool, error) {
	k := t.quorum.threshold
	reachable, badExit := 0, 0
	var measured []uint64
	for _, o := range opinions {
		reachable += one(o.Reachable)
		badExit += one(o.BadExit)
		if o.Capacity > 0 {
			measured = append(measured, o.Capacity)
		}
	}
	if reachable < k || t.standing.Suspended(id) {
		return member{}, false, nil
	}
	descriptor, prekeys, err := t.newest(id, opinions)
	if err != nil || descriptor.isZero() {
		return member{}, false, err
	}
	d := t.facts[descriptor]
	if d.closed {
		return member{}, false, nil
	}
	m := member{
		id: id, descriptor: descriptor, keys: prekeys,
		trusted: t.standing.Trusted(id), badExit: badExit >= k, capacity: t.capacity(measured),
	}
	if d.capacity > 0 {
		m.capacity = min(m.capacity, d.capacity)
	}
	return m, true, nil
}

// newest returns the newest descriptor of the node for which there are keys, and
// the newest of these; zero if enough of the opinions name none.
func (t *tally) newest(id netmap.NodeID, opinions []*opinion) (descriptor, prekeys digest, err error) {
	all, err := t.sorted(id, opinions, descriptors)
	if err != nil {
		return digest{}, digest{}, err
	}
	allKeys, err := t.sorted(id, opinions, keys)
	if err != nil {
		return digest{}, digest{}, err
	}
	for _, d := range all {
		for _, k := range allKeys {
			if t.facts[k].binding == t.facts[d].binding {
				return d, k, nil
			}
		}
	}
	return digest{}, digest{}, nil
}

// sorted returns what enough of the opinions name and is of the node, the newest
// first. Of two of the same second the one comes first that more call newest.
func (t *tally) sorted(id netmap.NodeID, opinions []*opinion, named func(*opinion) []digest) ([]digest, error) {
	var all []digest
	for _, d := range t.quorum.named(opinions, named) {
		f, ok := t.facts[d]
		if !ok {
			return nil, fmt.Errorf("the votes name %x of node %s, which nobody has handed out", d[:4], id.Short())
		}
		if f.id == id {
			all = append(all, d)
		}
	}
	newest := make(map[digest]int)
	for _, o := range opinions {
		if n := named(o); len(n) > 0 {
			newest[n[0]]++
		}
	}
	slices.SortStableFunc(all, func(a, b digest) int {
		return cmp.Or(t.facts[b].published.Compare(t.facts[a].published), cmp.Compare(newest[b], newest[a]), compareDigests(b, a))
	})
	return all, nil
}

// capacity returns the low median of what was measured, or less: never more than
// what an honest authority has measured, were all hostile ones among them. It
// is 0 if they could be alone.
func (t *tally) capacity(measured []uint64) uint64 {
	f := t.quorum.faults()
	if len(measured) <= f {
		return 0
	}
	slices.Sort(measured)
	return measured[min((len(measured)-1)/2, len(measured)-1-f)]
}

// appeals returns what nodes answer to moderators, of the nodes that the votes
// know.
func (t *tally) appeals(votes []*vote) (map[netmap.NodeID]string, error) {
	appeals := make(map[netmap.NodeID]string)
	for id, opinions := range byNode(votes) {
		all, err := t.sorted(id, opinions, descriptors)
		if err != nil {
			return nil, err
		}
		if len(all) > 0 {
			appeals[id] = t.facts[all[0]].appeal
		}
	}
	return appeals, nil
}

func compareDigests(a, b digest) int { return bytes.Compare(a[:], b[:]) }

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
