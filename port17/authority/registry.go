package authority

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"safing/netmap"
)

// keptOfEach is how many of a node's descriptors, and of its keys, are kept: the
// newest, and those before it that others may still name.
const keptOfEach = 3

// An object is a descriptor or keys, as read and verified.
type object struct {
	facts
	kind       kind
	hash       digest
	signed     []byte
	received   time.Time
	from       origin
	descriptor *netmap.Descriptor // or
	keys       *netmap.Keys
}

// openObject verifies what a node has signed. The bytes must not change
// afterwards.
func openObject(p parcel, received time.Time) (*object, error) {
	o := &object{kind: p.Kind, hash: sha256.Sum256(p.Signed), signed: p.Signed, received: received}
	switch p.Kind {
	case kindDescriptor:
		d, err := netmap.OpenDescriptor(p.Signed)
		if err != nil {
			return nil, err
		}
		o.descriptor = d
		o.facts = facts{
			id: d.ID, published: d.Published, binding: d.Binding(), closed: d.Closed, capacity: d.Capacity, appeal: d.Appeal,
			room: room{descriptors: len(p.Signed)},
		}
	case kindKeys:
		k, err := netmap.OpenKeys(p.Signed)
		if err != nil {
			return nil, err
		}
		o.keys = k
		o.facts = facts{id: k.ID, published: k.Published, binding: k.Binding, room: room{keys: len(p.Signed)}}
	default:
		return nil, fmt.Errorf("an object of the unknown kind %d", p.Kind)
	}
	return o, nil
}

// newer orders objects of a node. Of two that were published in the same second
// the one counts that came later, and so is newer where only one node publishes.
func (o *object) newer(than *object) bool {
	return cmp.Or(o.published.Compare(than.published), o.received.Compare(than.received), compareDigests(o.hash, than.hash)) > 0
}

// A registered is what is known of a node.
type registered struct {
	id                netmap.NodeID
	from              origin    // of its first descriptor
	descriptors, keys []*object // newest first
	// listed are those on the last map; zero if it is not on it.
	listedDescriptor, listedKeys digest
}

func (r *registered) of(k kind) *[]*object {
	if k == kindKeys {
		return &r.keys
	}
	return &r.descriptors
}

// heard returns when the node has last published.
func (r *registered) heard() time.Time {
	if len(r.descriptors) == 0 {
		return time.Time{}
	}
	return r.descriptors[0].received
}

// A registry has the nodes that an authority knows. Its methods may be called
// from any goroutine.
type registry struct {
	most int  // nodes
	room room // that a map has for what they publish

	mu     sync.Mutex
	nodes  map[netmap.NodeID]*registered
	byHash map[digest]*object
	pinned map[digest]bool    // that votes of this period name
	held   map[digest]*object // of these, what is not a node's any more, or never was
	size   room               // that they may need
}

func newRegistry(most int, r room) *registry {
	return &registry{
		most: most, room: r, nodes: make(map[netmap.NodeID]*registered),
		byHash: make(map[digest]*object), held: make(map[digest]*object),
	}
}

// Errors of what is older than what is known.
var (
	errOldDescriptor = errors.New("a newer descriptor of the node is known")
	errOldKeys       = errors.New("newer keys of the node are known")
)

// put takes an object, and returns those that it has forgotten for it. New is
// false if it was there.
func (r *registry) put(o *object) (forgotten []digest, isNew bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.byHash[o.hash]; ok {
		return nil, false, nil
	}
	node := r.nodes[o.id]
	if node == nil && o.kind != kindDescriptor {
		return nil, false, errors.New("there is no descriptor of the node: publish that first")
	}
	if forgotten, err = r.makeRoomLocked(node, o); err != nil {
		return forgotten, false, err
	}
	if node == nil {
		node = &registered{id: o.id, from: o.from}
		r.nodes[o.id] = node
	}
	r.size = r.size.plus(grows(node, o))
	list := node.of(o.kind)
	at, _ := slices.BinarySearchFunc(*list, o, func(a, b *object) int {
		if a.newer(b) {
			return -1
		}
		return 1
	})
	*list = slices.Insert(*list, at, o)
	r.byHash[o.hash] = o
	return append(forgotten, r.trimLocked(node, list)...), true, nil
}

// trimLocked forgets what is too old to be named by anybody. What a vote has
// named stays, however often the node publishes meanwhile: otherwise one node
// could keep all from making the map.
func (r *registry) trimLocked(node *registered, list *[]*object) (forgotten []digest) {
	kept := 0
	before := node.size()
	defer func() { r.size = r.size.minus(before).plus(node.size()) }()
	*list = slices.DeleteFunc(*list, func(o *object) bool {
		kept++
		if kept <= keptOfEach || r.pinned[o.hash] || o.hash == node.listedDescriptor || o.hash == node.listedKeys {
			return false
		}
		r.dropLocked(o)
		forgotten = append(forgotten, o.hash)
		return true
	})
	return forgotten
}

// newest returns the newest object of the node; nil if there is none.
func (r *registry) newest(id netmap.NodeID, k kind) *object {
	r.mu.Lock()
	defer r.mu.Unlock()
	if node := r.nodes[id]; node != nil {
		if list := *node.of(k); len(list) > 0 {
			return list[0]
		}
	}
	return nil
}

// object returns the object with the hash; nil if it is not known.
func (r *registry) object(hash digest) *object {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o := r.byHash[hash]; o != nil {
		return o
	}
	return r.held[hash]
}

// hold keeps an object that is pinned beside those of the nodes, whether there is
// room for it or not.
func (r *registry) hold(o *object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pinned[o.hash] && r.byHash[o.hash] == nil {
		r.held[o.hash] = o
	}
}

// dropLocked forgets an object of a node. One that is pinned is held, or whoever
// invents nodes could keep all from making the map.
func (r *registry) dropLocked(o *object) {
	delete(r.byHash, o.hash)
	if r.pinned[o.hash] {
		r.held[o.hash] = o
	}
}

// pinLocked pins the objects in place of those that were.
func (r *registry) pinLocked(pinned map[digest]bool) {
	r.pinned = pinned
	maps.DeleteFunc(r.held, func(d digest, _ *object) bool { return !pinned[d] })
}

// dropSilent forgets the nodes that were not heard of since, and returns what it
// had of them.
func (r *registry) dropSilent(since time.Time) (forgotten []digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, node := range r.nodes {
		if node.heard().Before(since) {
			forgotten = append(forgotten, r.forgetLocked(node)...)
		}
	}
	return forgotten
}

// setListed says who is on the newest map.
func (r *registry) setListed(list []listing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, node := range r.nodes {
		node.listedDescriptor, node.listedKeys = digest{}, digest{}
	}
	for _, l := range list {
		if node := r.nodes[l.ID]; node != nil {
			node.listedDescriptor, node.listedKeys = l.Descriptor, l.Keys
		}
	}
}

// pin keeps the objects in place of those that were pinned before. They need not
// be there yet.
func (r *registry) pin(named []digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pinned := make(map[digest]bool, len(named))
	for _, d := range named {
		pinned[d] = true
	}
	r.pinLocked(pinned)
}

// opinions returns what can be said of all nodes from which something was
// published until then, sorted by identity, and pins what it names. Whether the
// nodes are reachable is left open.
func (r *registry) opinions(until time.Time) []opinion {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []opinion
	pinned := make(map[digest]bool)
	for id, node := range r.nodes {
		o := opinion{
			ID:          id,
			Descriptors: r.namedLocked(node.descriptors, node.listedDescriptor, until),
			Keys:        r.namedLocked(node.keys, node.listedKeys, until),
		}
		if len(o.Descriptors) > 0 {
			all = append(all, o)
		}
		for _, d := range slices.Concat(o.Descriptors, o.Keys) {
			pinned[d] = true
		}
	}
	r.pinLocked(pinned)
	slices.SortFunc(all, func(a, b opinion) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return all
}

// usable returns the nodes that have published keys of their newest descriptor
// that can be used now, and take circuits.
func (r *registry) usable(now time.Time) []netmap.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []netmap.Node
	for _, node := range r.nodes {
		if len(node.descriptors) == 0 || len(node.keys) == 0 || node.descriptors[0].closed {
			continue
		}
		n := netmap.Node{Descriptor: node.descriptors[0].descriptor, Keys: node.keys[0].keys}
		if _, err := n.Recipient(now); err == nil && n.Keys.Binding == node.descriptors[0].binding {
			all = append(all, n)
		}
	}
	return all
}

// namedLocked returns the newest of the objects that was published in time, and
// the one on the last map.
func (r *registry) namedLocked(list []*object, listed digest, until time.Time) (named []digest) {
	for _, o := range list {
		if !o.published.After(until) {
			named = append(named, o.hash)
			break
		}
	}
	if o := r.byHash[listed]; o != nil && !slices.Contains(named, listed) {
		named = append(named, listed)
	}
	return named
}
