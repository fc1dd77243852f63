package netmaptest

import (
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"safing/netmap"
)

// Sign returns the map as the newest leaf of a log, whose checkpoint is signed by
// these alone. What the log has before it are no maps.
func Sign(m *netmap.Map, signers ...note.Signer) ([]byte, error) {
	body, _, err := m.Encode()
	if err != nil {
		return nil, err
	}
	header := m.Header(body).String()
	var hashes []tlog.Hash
	stored := tlog.HashReaderFunc(func(numbers []int64) (found []tlog.Hash, _ error) {
		for _, n := range numbers {
			found = append(found, hashes[n])
		}
		return found, nil
	})
	for n := int64(0); n <= int64(m.Sequence); n++ {
		leaf := "an older map\n"
		switch n {
		case int64(m.Sequence):
			leaf = header
		case 0:
			leaf = netmap.FirstLeaf(m.Network)
		}
		more, err := tlog.StoredHashes(n, []byte(leaf), stored)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, more...)
	}
	size := int64(m.Sequence) + 1
	root, err := tlog.TreeHash(size, stored)
	if err != nil {
		return nil, err
	}
	proof, err := tlog.ProveRecord(size, int64(m.Sequence), stored)
	if err != nil {
		return nil, err
	}
	checkpoint, err := netmap.SignCheckpoint(netmap.MakeCheckpoint(m.Network, size, root), signers...)
	if err != nil {
		return nil, err
	}
	return netmap.AssembleMap(header, proof, checkpoint, body)
}
