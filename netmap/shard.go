package netmap

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"safing/internal/canonical"
)

// ShardNodes is how many nodes, in the order of their identities, have their
// keys in one shard.
const ShardNodes = 64

// MaxShard is the greatest length of a shard, in bytes.
const MaxShard = ShardNodes*(MaxKeys+3) + 3

func shardsOf(nodes int) int { return (nodes + ShardNodes - 1) / ShardNodes }

// encodeShards writes the signed keys of the nodes, and null for those that are
// not known.
func encodeShards(nodes []Node) ([][]byte, error) {
	shards := make([][]byte, 0, shardsOf(len(nodes)))
	for part := range slices.Chunk(nodes, ShardNodes) {
		signed := make([][]byte, len(part))
		for i, n := range part {
			if n.Keys != nil {
				signed[i] = n.Keys.signed
			}
		}
		b, err := canonical.Encode(signed)
		if err != nil {
			return nil, fmt.Errorf("encode keys: %w", err)
		}
		shards = append(shards, b)
	}
	return shards, nil
}

// Shards returns the SHA-256 of every key shard. A map that was made and not
// read has none: Encode makes them.
func (m *Map) Shards() [][sha256.Size]byte { return m.shards }

// Shard returns which shard the keys of the node with the index are in.
func (m *Map) Shard(i int) int {
	if m.origin != nil {
		i = int(m.origin[i])
	}
	return i / ShardNodes
}

// AddKeys returns the map with the keys of the shard filled in. Keys that are of
// another descriptor than the map's are left out: the node has just changed. The
// bytes must be the shard's and must not change afterwards. The error wraps
// [ErrMap].
func (m *Map) AddKeys(shard int, b []byte) (*Map, error) {
	if shard < 0 || shard >= len(m.shards) {
		return nil, fmt.Errorf("%w: it has %d key shards and no number %d", ErrMap, len(m.shards), shard)
	}
	if len(b) > MaxShard || sha256.Sum256(b) != m.shards[shard] {
		return nil, fmt.Errorf("%w: key shard %d is not the one that was signed", ErrMap, shard)
	}
	var signed [][]byte
	if err := canonical.Decode(b, &signed, maxItems); err != nil {
		return nil, fmt.Errorf("%w: key shard %d: %w", ErrMap, shard, err)
	}
	with := *m
	with.Nodes = slices.Clone(m.Nodes)
	for i := m.firstOf(shard); i < len(with.Nodes) && m.Shard(i) == shard; i++ {
		at := i
		if m.origin != nil {
			at = int(m.origin[i])
		}
		if at -= shard * ShardNodes; at >= len(signed) {
			return nil, fmt.Errorf("%w: key shard %d is short", ErrMap, shard)
		}
		if err := with.Nodes[i].take(signed[at]); err != nil {
			return nil, fmt.Errorf("%w: key shard %d: %w", ErrMap, shard, err)
		}
	}
	return &with, nil
}

// firstOf returns the index of the first node of a shard.
func (m *Map) firstOf(shard int) int {
	if m.origin == nil {
		return shard * ShardNodes
	}
	at, _ := slices.BinarySearch(m.origin, int32(shard*ShardNodes))
	return at
}

// take opens the node's keys, if they are known.
func (n *Node) take(signed []byte) error {
	if signed == nil {
		return nil
	}
	keys, err := OpenKeys(signed)
	if err != nil {
		return err
	}
	if keys.ID != n.ID {
		return fmt.Errorf("%w: of node %s instead of %s", ErrKeys, keys.ID.Short(), n.ID.Short())
	}
	if keys.Binding == n.Binding() {
		n.Keys = keys
	}
	return nil
}
