package directory

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Defaults of a MirrorConfig.
const (
	defaultMirrorBytes = 64 << 20
	defaultWaiters     = 4096
)

// mirrorMaps is how many maps a mirror keeps, so that who has one of them gets
// the difference alone.
const mirrorMaps = 20

// MirrorConfig bounds what a mirror holds.
type MirrorConfig struct {
	// Bytes is how much the maps may take together; 0 means 64 MiB. The newest
	// one is kept whatever it takes.
	Bytes int
	// Waiters is how many requests may wait for a newer map; 0 means 4096.
	Waiters int
}

// A Mirror serves the newest maps and the keys of their nodes. It believes what
// it is given, and whoever asks it believes what is signed.
type Mirror struct {
	config MirrorConfig
	mux    *http.ServeMux

	mu      sync.Mutex
	maps    []*mirrored // oldest first
	shards  map[[sha256.Size]byte][]byte
	changed chan struct{} // closed when there is a newer map
	waiters int
	fetch   func(context.Context, [sha256.Size]byte) ([]byte, error) // of keys that the mirror lacks; may be nil
	pulls   map[[sha256.Size]byte]chan struct{}                      // under way

	compressing chan struct{} // full while somebody compresses, which takes memory
}

// A mirrored map is one that a mirror has.
type mirrored struct {
	sequence uint64
	signed   []byte
	shards   [][sha256.Size]byte
	deltas   map[uint64][]byte // by what they build on; guarded by Mirror.compressing
}

// NewMirror returns a mirror that has no map yet.
func NewMirror(c MirrorConfig) *Mirror {
	if c.Bytes <= 0 {
		c.Bytes = defaultMirrorBytes
	}
	if c.Waiters <= 0 {
		c.Waiters = defaultWaiters
	}
	m := &Mirror{
		config: c, mux: http.NewServeMux(), shards: make(map[[sha256.Size]byte][]byte), changed: make(chan struct{}),
		pulls: make(map[[sha256.Size]byte]chan struct{}), compressing: make(chan struct{}, 1),
	}
	m.mux.HandleFunc("GET /v1/map", m.serveMap)
	m.mux.HandleFunc("GET /v1/maps/{sequence}", m.serveOld)
	m.mux.HandleFunc("GET /v1/keys/{hash}", m.serveKeys)
	m.mux.HandleFunc("GET /v1/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return m
}

// Add serves a signed map from now on, if it is newer than those that it has.
// Hashes are those of the key shards that belong to the map, and keys such of
// the shards as are known: of the two newest maps they are kept. Nothing of that
// may change afterwards.
func (m *Mirror) Add(sequence uint64, signed []byte, hashes [][sha256.Size]byte, keys ...[]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, shard := range keys {
		m.shards[sha256.Sum256(shard)] = shard
	}
	if n := len(m.maps); n > 0 && m.maps[n-1].sequence >= sequence {
		return
	}
	m.maps = append(m.maps, &mirrored{sequence: sequence, signed: signed, shards: hashes, deltas: make(map[uint64][]byte)})
	m.trimLocked()
	close(m.changed)
	m.changed = make(chan struct{})
}

// trimLocked forgets what there is no room for, the oldest first.
func (m *Mirror) trimLocked() {
	first, total := len(m.maps), 0
	for first > 0 && len(m.maps)-first < mirrorMaps {
		total += len(m.maps[first-1].signed)
		if total > m.config.Bytes && first < len(m.maps) {
			break
		}
		first--
	}
	m.maps = slices.Delete(m.maps, 0, first)
	wanted := make(map[[sha256.Size]byte]bool)
	for _, kept := range m.newestTwoLocked() {
		for _, hash := range kept.shards {
			wanted[hash] = true
		}
	}
	maps.DeleteFunc(m.shards, func(hash [sha256.Size]byte, _ []byte) bool { return !wanted[hash] })
}

func (m *Mirror) newestTwoLocked() []*mirrored { return m.maps[max(0, len(m.maps)-2):] }

// AddKeys serves a shard of keys, which must not change afterwards, until the
// two newest maps have it no more.
func (m *Mirror) AddKeys(shard []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shards[sha256.Sum256(shard)] = shard
}

// Keys returns the shard of keys with the hash; nil if the mirror has none.
func (m *Mirror) Keys(hash [sha256.Size]byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shards[hash]
}

// newest returns the newest map, nil before the first, and what is closed when
// there is a newer one.
func (m *Mirror) newest() (*mirrored, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.maps) == 0 {
		return nil, m.changed
	}
	return m.maps[len(m.maps)-1], m.changed
}

// await returns the newest map once its sequence is above after, or what there
// is when the time is over or too many wait.
func (m *Mirror) await(ctx context.Context, after uint64, wait time.Duration) *mirrored {
	newest, changed := m.newest()
	if newest != nil && newest.sequence > after || wait <= 0 || !m.enter() {
		return newest
	}
	defer m.leave()
	over := time.NewTimer(wait)
	defer over.Stop()
	for newest == nil || newest.sequence <= after {
		select {
		case <-ctx.Done():
			return newest
		case <-over.C:
			return newest
		case <-changed:
			newest, changed = m.newest()
		}
	}
	return newest
}

func (m *Mirror) enter() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiters == m.config.Waiters {
		return false
	}
	m.waiters++
	return true
}

func (m *Mirror) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiters--
}
