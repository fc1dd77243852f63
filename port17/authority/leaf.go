package authority

import (
	"crypto/sha256"
	"errors"
	"time"

	"safing/internal/canonical"
	"safing/netmap"
)

// A signedMap is one that is out.
type signedMap struct {
	sequence uint64
	bytes    []byte
	m        *netmap.Map // which may have expired
	shards   [][]byte    // of keys, in order; nil if some are not known
}

func (s signedMap) head() (netmap.Head, error) {
	b, _, err := netmap.SplitMap(s.bytes)
	if err != nil {
		return netmap.Head{}, err
	}
	return netmap.ParseHead(b)
}

// rest returns the body and the keys for peers, if the map has that body and all
// keys of it are known.
func (s signedMap) rest(body digest) ([]byte, error) {
	if s.bytes == nil || s.shards == nil {
		return nil, nil
	}
	h, err := s.head()
	if err != nil || !names(h.Header, body) {
		return nil, err
	}
	_, b, err := netmap.SplitMap(s.bytes)
	if err != nil {
		return nil, err
	}
	return canonical.Encode(bodyWire{Body: b, Shards: s.shards})
}

// verifyLeaf verifies a map that may have expired: it is a leaf of the log all
// the same, which those after it build on.
func (a *Authority) verifyLeaf(signed []byte) (*netmap.Map, error) {
	now := time.Now()
	m, err := a.network.Verify(signed, now)
	if !errors.Is(err, netmap.ErrExpired) {
		return m, err
	}
	h, err := signedMap{bytes: signed}.head()
	if err != nil {
		return nil, err
	}
	header, err := netmap.ParseHeader(h.Header)
	if err != nil {
		return nil, err
	}
	return a.network.Verify(signed, header.ValidAfter)
}

// inOrder returns the key shards of a map; nil if some of them are missing.
func inOrder(m *netmap.Map, known [][]byte) [][]byte {
	byHash := make(map[[sha256.Size]byte][]byte, len(known))
	for _, shard := range known {
		byHash[sha256.Sum256(shard)] = shard
	}
	all := make([][]byte, 0, len(m.Shards()))
	for _, hash := range m.Shards() {
		shard, ok := byHash[hash]
		if !ok {
			return nil
		}
		all = append(all, shard)
	}
	return all
}
