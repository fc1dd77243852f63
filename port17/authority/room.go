package authority

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"safing/netmap"
)

// A room is how many bytes descriptors and keys take, as they were signed. What
// fits into mapRoom fits into a map.
type room struct{ descriptors, keys int }

// mapRoom is what a map has room for: beside descriptors its body has statements,
// and authorities send each other keys together with the body.
func mapRoom() room { return room{descriptors: netmap.MaxBody - 6<<20, keys: netmap.MaxBody - 1<<20} }

func (r room) plus(o room) room  { return room{r.descriptors + o.descriptors, r.keys + o.keys} }
func (r room) minus(o room) room { return room{r.descriptors - o.descriptors, r.keys - o.keys} }
func (r room) total() int        { return r.descriptors + r.keys }

// within says whether it fits into another one.
func (r room) within(o room) bool { return r.descriptors <= o.descriptors && r.keys <= o.keys }

// An origin is where something has come from: the /24 or /48 of its node, or an
// authority. Zero is unknown.
type origin struct {
	network netip.Prefix
	author  uint32
}

// makeRoomLocked makes room for an object of a node, which is nil if it is new:
// it forgets nodes that are not on the map, of the origin whose nodes take the
// most, the one first that was heard longest ago. So whoever invents nodes drives
// out the own ones before those of others.
func (r *registry) makeRoomLocked(node *registered, o *object) (forgotten []digest, err error) {
	for {
		crowded := node == nil && len(r.nodes) >= r.most
		if !crowded && r.size.plus(grows(node, o)).within(r.room) {
			return forgotten, nil
		}
		victim := r.victimLocked(node)
		switch {
		case victim != nil:
			forgotten = append(forgotten, r.forgetLocked(victim)...)
		case crowded:
			return forgotten, fmt.Errorf("the network has %d nodes and takes no more", r.most)
		default:
			return forgotten, fmt.Errorf("the map has no room for the %d bytes of the descriptor or keys", len(o.signed))
		}
	}
}

// victimLocked returns the node that gives way to another; nil if all are on the
// map.
func (r *registry) victimLocked(not *registered) *registered {
	taken := make(map[origin]int)
	for _, node := range r.nodes {
		if node.listedDescriptor.isZero() {
			taken[node.from] += node.size().total()
		}
	}
	var victim *registered
	for _, node := range r.nodes {
		if node == not || !node.listedDescriptor.isZero() {
			continue
		}
		if victim == nil || cmp.Or(cmp.Compare(taken[node.from], taken[victim.from]), victim.heard().Compare(node.heard())) > 0 {
			victim = node
		}
	}
	return victim
}

// forgetLocked forgets a node, and returns what it had of it.
func (r *registry) forgetLocked(node *registered) (forgotten []digest) {
	for _, o := range slices.Concat(node.descriptors, node.keys) {
		r.dropLocked(o)
		forgotten = append(forgotten, o.hash)
	}
	r.size = r.size.minus(node.size())
	delete(r.nodes, node.id)
	return forgotten
}

// grows returns how much more room a map may need for the object. What is largest
// of a node counts.
func grows(node *registered, o *object) room {
	if node == nil {
		return o.room
	}
	have := node.size()
	return room{max(0, o.room.descriptors-have.descriptors), max(0, o.room.keys-have.keys)}
}

func largest(list []*object) (most int) {
	for _, o := range list {
		most = max(most, len(o.signed))
	}
	return most
}

func (r *registered) size() room { return room{largest(r.descriptors), largest(r.keys)} }

// fit returns the members that a map has room for: those that take least come
// first. Honest authorities know no more than fits, but each of them may know
// others, and hostile ones name them all.
func (t *tally) fit(all []member) []member {
	takes := func(m member) room { return t.facts[m.descriptor].room.plus(t.facts[m.keys].room) }
	small := slices.Clone(all)
	slices.SortStableFunc(small, func(a, b member) int { return cmp.Compare(takes(a).total(), takes(b).total()) })
	var size room
	fits := make(map[netmap.NodeID]bool, len(all))
	for _, m := range small {
		next := size.plus(takes(m))
		if len(fits) == maxNodes || !next.within(mapRoom()) {
			break
		}
		size, fits[m.id] = next, true
	}
	return slices.DeleteFunc(all, func(m member) bool { return !fits[m.id] })
}
