package authority

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	log "safing/internal/tlog"
	"safing/netmap"
)

const (
	tileHeight = 8                               // as c2sp.org/tlog-tiles has it
	maxBundle  = (1 << tileHeight) * (2 + 4<<10) // bytes of 256 leaves
	maxMissed  = 1 << 20                         // leaves
)

// follow takes the newest map of another authority whenever ours is late.
func (a *Authority) follow(ctx context.Context, p *peer) {
	failed := false
	for ctx.Err() == nil {
		if a.behind(time.Now()) {
			err := a.catchUp(ctx, p)
			switch {
			case err == nil || failed || ctx.Err() != nil:
			case errors.Is(err, errSplit): // it does not heal by itself
				a.log.Error("the newest map of an authority was not taken", "authority", p.url, "error", err)
			default:
				a.log.Info("the newest map of an authority was not taken", "authority", p.url, "error", err)
			}
			failed = err != nil
		}
		wait(ctx, a.pollEvery())
	}
}

// behind says whether others can be expected to have a newer map.
func (a *Authority) behind(now time.Time) bool {
	made := a.madeIn()
	period := a.schedule.begin(now)
	if made.Before(period.Add(-a.period)) {
		return true
	}
	return made.Before(period) && now.After(a.schedule.votesEnd(period).Add(2*a.schedule.round))
}

// madeIn returns in which period the newest map was made.
func (a *Authority) madeIn() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.current.m == nil {
		return time.Time{}
	}
	return a.current.m.ValidAfter.Add(backdated)
}

// catchUp takes the newest map of another authority, if it is newer than ours,
// and the leaves of the log that we lack.
func (a *Authority) catchUp(ctx context.Context, p *peer) error {
	a.mu.Lock()
	after := a.current.sequence
	a.mu.Unlock()
	signed, err := p.newest(ctx, after)
	if err != nil || len(signed) == 0 {
		return err
	}
	return a.adopt(ctx, p, signed)
}

// adopt takes a map that other authorities have published.
func (a *Authority) adopt(ctx context.Context, p *peer, signed []byte) error {
	m, err := a.verifyLeaf(signed)
	if err != nil {
		return err
	}
	h, err := signedMap{bytes: signed}.head()
	if err != nil {
		return err
	}
	checkpoint, err := a.network.OpenWitnessed(h.Checkpoint)
	if err != nil {
		return err
	}
	size, err := log.Size(ctx, a.store.db)
	if err != nil || m.Sequence < uint64(size) {
		return err
	}
	leaves, err := p.leaves(ctx, size, h.Index)
	if err != nil {
		return err
	}
	leaves = append(leaves, []byte(h.Header))
	shards := a.shardsOf(ctx, p, m, h.Header)
	a.appending.Lock()
	defer a.appending.Unlock()
	if now, err := log.Size(ctx, a.store.db); err != nil || now != size {
		return err // it has grown meanwhile
	}
	var members []listing
	if c := a.pendingNow(); c != nil && c.header == h.Header {
		shards, members = c.shards, c.members
	}
	if err := a.outLocked(ctx, leaves, checkpoint.Root, signed, shards, members); err != nil {
		return err
	}
	a.log.Info("a map of other authorities was taken", "authority", p.url, "sequence", m.Sequence, "leaves", len(leaves))
	return nil
}

// shardsOf returns the key shards of a map that the peer has, unless we have made
// the same one. Those that are missing are for nodes to publish again.
func (a *Authority) shardsOf(ctx context.Context, p *peer, m *netmap.Map, header string) (shards [][]byte) {
	if c := a.pendingNow(); c != nil && c.header == header {
		return nil
	}
	for _, hash := range m.Shards() {
		b, err := p.get(ctx, "/v1/keys/"+hex.EncodeToString(hash[:]), netmap.MaxShard, bodyTimeout)
		if err != nil || digest(sha256.Sum256(b)) != hash {
			a.log.Info("keys of a map of other authorities could not be had", "authority", p.url, "error", err)
			return shards
		}
		shards = append(shards, b)
	}
	return shards
}

// leaves returns those of the peer's log from first on, until before end.
func (p *peer) leaves(ctx context.Context, first, end int64) ([][]byte, error) {
	if end-first > maxMissed {
		return nil, fmt.Errorf("the log lacks %d leaves, more than can be fetched", end-first)
	}
	var all [][]byte
	for first < end {
		n := first >> tileHeight
		width := min(end-n<<tileHeight, 1<<tileHeight)
		tile := tlog.Tile{H: tileHeight, L: -1, N: n, W: int(width)}
		path := strings.Replace(tile.Path(), "tile/8/data/", "/log/tile/entries/", 1)
		b, err := p.get(ctx, path, maxBundle, bodyTimeout)
		if err != nil {
			return nil, err
		}
		bundle, err := splitBundle(b)
		if err != nil {
			return nil, err
		}
		if int64(len(bundle)) != width {
			return nil, fmt.Errorf("%s has %d leaves instead of %d", path, len(bundle), width)
		}
		all = append(all, bundle[first-n<<tileHeight:]...)
		first = n<<tileHeight + width
	}
	return all, nil
}

// splitBundle returns the leaves of a bundle (c2sp.org/tlog-tiles#log-entries).
func splitBundle(b []byte) (leaves [][]byte, err error) {
	for len(b) > 0 {
		if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			return nil, errors.New("a bundle of leaves is cut off")
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		leaves, b = append(leaves, b[2:n]), b[n:]
	}
	return leaves, nil
}
