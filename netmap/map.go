package netmap

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Bounds of a map.
const (
	// MaxMap is the greatest length of a signed map, in bytes.
	MaxMap   = 64 << 20
	maxNodes = 16384
)

// A Map says which nodes there are, for a time. New makes one.
type Map struct {
	Network    string
	Sequence   uint64 // rises by one with every map, from 1
	ValidAfter time.Time
	ValidUntil time.Time
	Nodes      []Node // by identity
	Notices    []Notice
	Policy     []byte // a signed policy of suites (safing/tinker/policy); empty if there is none

	edges edges
	// shards are the hashes of the key shards; nil for a map that was made. They
	// are of the nodes that were on the map when it was read: origin says where
	// each was, if some were left out.
	shards [][sha256.Size]byte
	origin []int32
}

// New returns a map of the nodes, in the order of their identities. No identity
// may appear twice.
func New(network string, sequence uint64, after, until time.Time, nodes []Node) (*Map, error) {
	m := &Map{Network: network, Sequence: sequence, ValidAfter: after, ValidUntil: until, Nodes: slices.Clone(nodes)}
	return m, m.index()
}

// index puts the nodes in order and finds their edges.
func (m *Map) index() error {
	slices.SortFunc(m.Nodes, func(a, b Node) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for i := 1; i < len(m.Nodes); i++ {
		if m.Nodes[i].ID == m.Nodes[i-1].ID {
			return fmt.Errorf("%w: node %s is in it twice", ErrMap, m.Nodes[i].ID.Short())
		}
	}
	m.edges = newEdges(len(m.Nodes), m.pairs())
	return nil
}

// Index returns where in Nodes the node with the identity is.
func (m *Map) Index(id NodeID) (int, bool) {
	return slices.BinarySearchFunc(m.Nodes, id, func(n Node, id NodeID) int { return bytes.Compare(n.ID[:], id[:]) })
}

// Node returns the node with the identity.
func (m *Map) Node(id NodeID) (Node, bool) {
	i, ok := m.Index(id)
	if !ok {
		return Node{}, false
	}
	return m.Nodes[i], true
}

// ErrMap means that a map is malformed.
var ErrMap = errors.New("map is invalid")

// public returns the map without the nodes at addresses that are not public.
func (m *Map) public() *Map {
	kept := *m
	kept.Nodes, kept.origin = nil, nil
	at := make([]int, len(m.Nodes)) // where each node is now
	for i, n := range m.Nodes {
		at[i] = -1
		if n.CheckPublic() == nil {
			at[i] = len(kept.Nodes)
			kept.Nodes, kept.origin = append(kept.Nodes, n), append(kept.origin, int32(i))
		}
	}
	if len(kept.Nodes) == len(m.Nodes) {
		return m
	}
	var pairs []pair
	for i := range m.Nodes {
		for _, e := range m.Edges(i) {
			if at[i] >= 0 && at[e.To] > at[i] {
				pairs = append(pairs, pair{a: at[i], b: at[e.To], rtt: e.RTT, crossed: e.Crossed})
			}
		}
	}
	kept.edges = newEdges(len(kept.Nodes), pairs)
	return &kept
}
