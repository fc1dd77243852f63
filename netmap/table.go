package netmap

import (
	"cmp"
	"slices"
)

// A table holds each value once, in order, and for each node which one is its.
// All nodes with a value share it.
type table[T any] struct {
	_      struct{} `cbor:",toarray"`
	Values []T
	Of     []uint16
}

func newTable[T any](nodes []Node, value func(*Node) T, compare func(a, b T) int) table[T] {
	t := table[T]{Values: make([]T, len(nodes)), Of: make([]uint16, len(nodes))}
	for i := range nodes {
		t.Values[i] = value(&nodes[i])
	}
	all := slices.Clone(t.Values)
	slices.SortFunc(t.Values, compare)
	t.Values = slices.CompactFunc(t.Values, func(a, b T) bool { return compare(a, b) == 0 })
	for i, v := range all {
		at, _ := slices.BinarySearchFunc(t.Values, v, compare)
		t.Of[i] = uint16(at)
	}
	return t
}

// check makes sure that every node has a value.
func (t *table[T]) check(nodes int) error {
	if len(t.Of) != nodes {
		return errLists
	}
	for _, at := range t.Of {
		if int(at) >= len(t.Values) {
			return errLists
		}
	}
	return nil
}

// of returns the value of the node with the index.
func (t *table[T]) of(i int) T { return t.Values[t.Of[i]] }

// An ownerWire is an owner's name and key.
type ownerWire struct {
	_    struct{} `cbor:",toarray"`
	Name string
	Key  []byte // empty if there is none
}

func compareOwners(a, b ownerWire) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.Key, b.Key))
}
