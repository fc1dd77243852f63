package directory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"safing/netmap"
)

const (
	keyRequests  = 4               // shards that are fetched at a time
	keyFailures  = 3               // of a source, until it is asked for no more shards of a map
	mirrorShards = 8               // that a mirror fetches for others of each map
	showKeys     = 2 * time.Second // after which a map is handed out with the keys that there are
)

// keep returns the map with the keys that are known of nodes whose own it lacks
// yet. Each node has signed its own, so they may come from anywhere.
func keep(m *netmap.Map, known func(netmap.NodeID) *netmap.Keys) *netmap.Map {
	with := *m
	with.Nodes = slices.Clone(m.Nodes)
	for i := range with.Nodes {
		n := &with.Nodes[i]
		if k := known(n.ID); k != nil && (n.Keys == nil || k.Published.After(n.Keys.Published)) && k.Binding == n.Binding() {
			n.Keys = k
		}
	}
	return &with
}

func keysOn(m *netmap.Map) func(netmap.NodeID) *netmap.Keys {
	return func(id netmap.NodeID) *netmap.Keys {
		n, _ := m.Node(id)
		return n.Keys
	}
}

// missing returns the shards with keys of nodes that have none which is valid
// now, and until the next map, and of a suite that may be used.
func (c *Client) missing(m *netmap.Map) (shards []int) {
	period, _ := c.config.Network.Times()
	now := time.Now()
	hashes := m.Shards()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, n := range m.Nodes {
		s := m.Shard(i)
		if s >= len(hashes) || len(shards) > 0 && shards[len(shards)-1] == s || c.read[hashes[s]] {
			continue
		}
		_, err := n.PrekeyBy(now, c.config.Policies)
		if err == nil {
			_, err = n.PrekeyBy(now.Add(period), c.config.Policies)
		}
		if err != nil {
			shards = append(shards, s)
		}
	}
	return shards
}

// forMirror adds a few shards that the mirror lacks, whether we need them or not,
// so that the mirrors of all nodes together have all of them, even when the
// authorities can't be reached.
func (c *Client) forMirror(m *netmap.Map, shards []int) []int {
	if c.config.Mirror == nil {
		return shards
	}
	more := 0
	for _, s := range rand.Perm(len(m.Shards())) {
		if more < mirrorShards && !slices.Contains(shards, s) && c.config.Mirror.Keys(m.Shards()[s]) == nil {
			shards = append(shards, s)
			more++
		}
	}
	return shards
}

// fill fetches the keys that the map lacks and returns it with them. Meanwhile
// it shows what there is.
func (c *Client) fill(ctx context.Context, m *netmap.Map, show func(*netmap.Map)) *netmap.Map {
	shards := c.forMirror(m, c.missing(m))
	if len(shards) == 0 {
		return m
	}
	type result struct {
		shard int
		b     []byte
		err   error
	}
	next, results := make(chan int), make(chan result)
	from := &keySources{left: c.inOrder(), failures: make(map[*source]int)}
	hashes := m.Shards()
	var fetching sync.WaitGroup
	for range min(keyRequests, len(shards)) {
		fetching.Go(func() {
			for s := range next {
				b, err := from.fetch(ctx, hashes[s])
				results <- result{s, b, err}
			}
		})
	}
	go func() {
		for _, s := range shards {
			next <- s
		}
		close(next)
		fetching.Wait()
		close(results)
	}()
	slow := time.NewTicker(showKeys)
	defer slow.Stop()
	var errs []error
	for under := true; under; {
		select {
		case <-slow.C:
			show(m)
		case r, ok := <-results:
			if under = ok; !ok {
				break
			}
			with, err := c.addShard(m, r.shard, r.b, r.err)
			if m = with; err != nil {
				errs = append(errs, err)
			}
		}
	}
	if len(errs) > 0 && ctx.Err() == nil {
		c.config.Log.Warn("keys of nodes could not be fetched: they are left out", "shards", len(errs), "error", errs[0])
	}
	c.keepKeys(m)
	return m
}

// forgetReadLocked forgets the shards that a new map does not have.
func (c *Client) forgetReadLocked(m *netmap.Map) {
	read := make(map[[sha256.Size]byte]bool)
	for _, hash := range m.Shards() {
		if c.read[hash] {
			read[hash] = true
		}
	}
	c.read = read
}

// addShard returns the map with the keys of a shard, unless that could not be
// fetched, and remembers that it has nothing more to say.
func (c *Client) addShard(m *netmap.Map, shard int, b []byte, err error) (*netmap.Map, error) {
	if err != nil {
		return m, err
	}
	with, err := m.AddKeys(shard, b)
	if err != nil {
		return m, err
	}
	if c.config.Mirror != nil {
		c.config.Mirror.AddKeys(b)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read[m.Shards()[shard]] = true
	return with, nil
}

// keySources are those that are asked for shards of one map.
type keySources struct {
	mu       sync.Mutex
	left     []*source
	failures map[*source]int
}

// fetch asks the sources in turn for a shard. Who has failed a few times, or was
// slower than another, is not asked again.
func (k *keySources) fetch(ctx context.Context, hash [sha256.Size]byte) ([]byte, error) {
	k.mu.Lock()
	sources := slices.Clone(k.left)
	k.mu.Unlock()
	if len(sources) == 0 {
		return nil, errors.New("no source answers")
	}
	return inTurn(ctx, sources, func(ctx context.Context, s *source) ([]byte, error) {
		b, err := s.keys(ctx, hash)
		if err == nil {
			return b, nil
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.failures[s]++; k.failures[s] == keyFailures {
			k.left = slices.DeleteFunc(slices.Clone(k.left), func(o *source) bool { return o == s })
		}
		return nil, fmt.Errorf("fetch keys from %s: %w", s.name, err)
	})
}

// keys asks a source for a shard of keys.
func (s *source) keys(ctx context.Context, hash [sha256.Size]byte) ([]byte, error) {
	response, done, err := s.get(ctx, s.base+"/v1/keys/"+hex.EncodeToString(hash[:]), 0)
	if err != nil {
		return nil, err
	}
	defer done()
	if response.StatusCode != http.StatusOK {
		return nil, refusal(response)
	}
	b, err := readAll(response, netmap.MaxShard)
	if err == nil && sha256.Sum256(b) != hash {
		err = fmt.Errorf("%w: the keys are not those that were signed", netmap.ErrMap)
	}
	return b, err
}
