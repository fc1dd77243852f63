package directory

import (
	"context"
	"crypto/sha256"
	"slices"
	"time"
)

const (
	maxPulls    = 16 // shards that a mirror fetches at a time
	pullTimeout = 30 * time.Second
)

// fetchKeys makes the mirror fetch the keys that it is asked for and lacks,
// instead of all that there are.
func (m *Mirror) fetchKeys(fetch func(context.Context, [sha256.Size]byte) ([]byte, error)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fetch = fetch
}

// pull returns the shard of keys with the hash, and fetches it if the newest
// maps have it and the mirror does not; nil if there is none. What several ask
// for at a time is fetched by the first of them.
func (m *Mirror) pull(ctx context.Context, hash [sha256.Size]byte) []byte {
	m.mu.Lock()
	shard, under := m.shards[hash], m.pulls[hash]
	first := shard == nil && under == nil && m.fetch != nil && len(m.pulls) < maxPulls && m.belongsLocked(hash)
	if first {
		under = make(chan struct{})
		m.pulls[hash] = under
	}
	m.mu.Unlock()
	switch {
	case shard != nil || under == nil:
		return shard
	case first:
		m.fetchFor(ctx, hash, under)
	}
	select {
	case <-under:
	case <-ctx.Done():
	}
	return m.Keys(hash)
}

func (m *Mirror) fetchFor(ctx context.Context, hash [sha256.Size]byte, over chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	shard, err := m.fetch(ctx, hash)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil && m.belongsLocked(hash) {
		m.shards[hash] = shard
	}
	delete(m.pulls, hash)
	close(over)
}

func (m *Mirror) belongsLocked(hash [sha256.Size]byte) bool {
	return slices.ContainsFunc(m.newestTwoLocked(), func(k *mirrored) bool { return slices.Contains(k.shards, hash) })
}
