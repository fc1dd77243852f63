package audit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"safing/netmap"
)

const (
	tileHeight = 8 // as c2sp.org/tlog-tiles fixes it
	maxTile    = tlog.HashSize << tileHeight
)

// ErrLog means that a log does not have what was signed.
var ErrLog = errors.New("the log is not the one that was signed")

// A Log is a network's log of maps as somebody serves it.
type Log struct {
	base   string
	http   *http.Client
	newest netmap.Checkpoint
}

// DialLog gets the newest checkpoint of the log that is served at the URL of an
// authority or mirror, and checks its signatures.
func DialLog(ctx context.Context, n *netmap.Network, url string) (*Log, error) {
	l := &Log{base: strings.TrimSuffix(url, "/") + "/log/", http: newHTTP()}
	signed, err := l.get(ctx, "checkpoint", netmap.MaxCheckpoint)
	if err == nil {
		l.newest, err = n.OpenWitnessed(signed)
	}
	if err != nil {
		return nil, fmt.Errorf("read the log at %s: %w", url, err)
	}
	return l, nil
}

// Size returns how many leaves the log has: one more than there were maps.
func (l *Log) Size() int64 { return l.newest.Size }

// Has checks that the log which is served still has what a checkpoint of it
// says: that it has only grown since. The error wraps [ErrLog] if it has not.
func (l *Log) Has(ctx context.Context, c netmap.Checkpoint) error {
	return l.follows(ctx, c, l.newest)
}

// Follows checks that of two checkpoints the newer is of the same log as the
// older, which has only grown. The error wraps [ErrLog] if not.
func (l *Log) Follows(ctx context.Context, old, next netmap.Checkpoint) error {
	if err := l.Has(ctx, next); err != nil {
		return err
	}
	return l.follows(ctx, old, next)
}

func (l *Log) follows(ctx context.Context, old, next netmap.Checkpoint) error {
	switch {
	case old.Size > next.Size:
		return fmt.Errorf("%w: it has %d leaves, and there were %d: somebody keeps newer maps back", ErrLog, next.Size, old.Size)
	case old.Size == next.Size && old.Root == next.Root:
		return nil
	case old.Size == next.Size:
		return fmt.Errorf("%w: there are two different logs of %d leaves: the authorities show different maps to different people. Tell others of it", ErrLog, next.Size)
	}
	reader := tlog.TileHashReader(tlog.Tree{N: l.newest.Size, Hash: l.newest.Root}, &tiles{log: l, ctx: ctx})
	proof, err := tlog.ProveTree(next.Size, old.Size, reader)
	if err != nil {
		return fmt.Errorf("read the log at %s: %w", l.base, err)
	}
	if err := tlog.CheckTree(proof, next.Size, next.Root, old.Size, old.Root); err != nil {
		return fmt.Errorf("%w: leaves 0 to %d have changed since, so there are two logs. Tell others of it: %w", ErrLog, old.Size-1, err)
	}
	return nil
}

func (l *Log) get(ctx context.Context, path string, most int64) ([]byte, error) {
	return get(ctx, l.http, l.base+path, most)
}

// tiles are those of a log; what is in them is for the reader to check.
type tiles struct {
	log *Log
	ctx context.Context // of the one request that it is made for
}

// Height implements tlog.TileReader.
func (t *tiles) Height() int { return tileHeight }

// ReadTiles implements tlog.TileReader.
func (t *tiles) ReadTiles(all []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range all {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		b, err := t.log.get(t.ctx, path, maxTile)
		if err != nil {
			return nil, err
		}
		data = append(data, b)
	}
	return data, nil
}

// SaveTiles implements tlog.TileReader.
func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}
