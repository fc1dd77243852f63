package directory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"safing/netmap"
)

// Keys are kept in the folder keys, in files by the first byte of the nodes'
// identities, so that not all are written again when some change.
const (
	keysFolder = "keys"
	keyFiles   = 256
	maxKeyFile = 8 << 20 // bytes
)

// keepKeys makes the map with its keys the newest, if it still is, and writes
// those down that have changed.
func (c *Client) keepKeys(m *netmap.Map) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil || c.held.Sequence != m.Sequence {
		return
	}
	before := keysOn(c.held.Map)
	c.held = &held{Map: m, signed: c.held.signed}
	if c.config.State == "" {
		return
	}
	var changed [keyFiles]bool
	var files [keyFiles][]byte
	for _, n := range m.Nodes {
		if n.Keys == nil {
			continue
		}
		at := n.ID[0]
		files[at] = encodeKeys(files[at], n.Keys)
		changed[at] = changed[at] || before(n.ID) != n.Keys
	}
	err := os.MkdirAll(c.path(keysFolder), 0o700)
	for i, b := range files {
		if changed[i] && err == nil {
			err = c.write(keyFile(i), b)
		}
	}
	if err != nil {
		c.config.Log.Warn("keys of nodes could not be kept on disk", "error", err)
	}
}

func keyFile(i int) string { return filepath.Join(keysFolder, fmt.Sprintf("%02x", i)) }

// loadKeys returns the map with the keys on disk.
func (c *Client) loadKeys(m *netmap.Map) *netmap.Map {
	var found [keyFiles][]*netmap.Keys
	var reading sync.WaitGroup
	for i := range keyFiles {
		reading.Go(func() {
			b, err := readFile(c.path(keyFile(i)), maxKeyFile)
			if err == nil {
				found[i], err = decodeKeys(b)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				c.config.Log.Info("keys on disk are not used", "error", err)
			}
		})
	}
	reading.Wait()
	byID := make(map[netmap.NodeID]*netmap.Keys)
	for _, keys := range found {
		for _, k := range keys {
			byID[k.ID] = k
		}
	}
	return keep(m, func(id netmap.NodeID) *netmap.Keys { return byID[id] })
}

// readFile reads a file of at most so many bytes.
func readFile(path string, most int64) ([]byte, error) {
	if s, err := os.Stat(path); err == nil && s.Size() > most {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that are allowed", path, s.Size(), most)
	}
	return os.ReadFile(path)
}

// encodeKeys appends signed keys, with their length before them.
func encodeKeys(b []byte, k *netmap.Keys) []byte {
	return append(binary.AppendUvarint(b, uint64(len(k.Signed()))), k.Signed()...)
}

// decodeKeys reads what encodeKeys has written.
func decodeKeys(b []byte) (keys []*netmap.Keys, err error) {
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, fmt.Errorf("%w: they are cut off", netmap.ErrKeys)
		}
		k, err := netmap.OpenKeys(b[n : n+int(size)])
		if err != nil {
			return nil, err
		}
		keys, b = append(keys, k), b[n+int(size):]
	}
	return keys, nil
}
