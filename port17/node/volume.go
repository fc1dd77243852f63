package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"safing/port17/cell"
)

const (
	countEvery   = 10 * time.Second
	saveEvery    = time.Minute
	exhaustAfter = time.Minute // after which circuits end when the volume is used up
)

// A volume is what the node may move in a month, by UTC. What it has moved
// outlasts a restart; a crash loses the last minute's count. Owned by the
// goroutine that counts, which Start begins as.
type volume struct {
	limit uint64 // bytes
	path  string

	spent
	total uint64    // what the node had moved since it started, when that was counted last
	saved time.Time // when the file was written last
	out   time.Time // since when the volume is used up; zero if it is not
}

// spent is the file.
type spent struct {
	Month string `json:"month"` // such as 2026-11
	Bytes uint64 `json:"bytes"`
}

func loadVolume(limit uint64, path string) (*volume, error) {
	v := &volume{limit: limit, path: path}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return v, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &v.spent)
	}
	if err != nil {
		return nil, fmt.Errorf("read how much of the month's volume is used: %w; remove %s to begin anew", err, path)
	}
	return v, nil
}

func (v *volume) save(now time.Time) error {
	b, err := json.Marshal(v.spent)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(v.path), 0o700); err != nil {
		return err
	}
	temp := v.path + ".new"
	if err := os.WriteFile(temp, append(b, '\n'), 0o600); err != nil {
		return err
	}
	v.saved = now
	return os.Rename(temp, v.path)
}

// count takes in what the node has moved since it started, and says whether
// there is anything left of the month's volume.
func (v *volume) count(now time.Time, total uint64) bool {
	if month := now.UTC().Format("2006-01"); month != v.Month {
		v.Month, v.Bytes = month, 0
	}
	v.Bytes += total - v.total
	v.total = total
	return v.Bytes < v.limit
}

// meter counts until the context ends.
func (n *Node) meter(ctx context.Context, v *volume) {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		now := time.Now()
		n.spend(v, now)
		if ctx.Err() == nil && now.Sub(v.saved) < saveEvery {
			continue
		}
		if err := v.save(now); err != nil {
			n.config.Log.Warn("how much of the month's volume is used could not be kept", "error", err)
		}
	}
}

// spend counts, and closes the node to circuits when its volume is used up, or
// opens it again when there is a new one.
func (n *Node) spend(v *volume, now time.Time) {
	left := v.count(now, n.moved())
	n.spent.Store(v.Bytes)
	switch {
	case !left && v.out.IsZero():
		v.out = now
		n.refusing.CompareAndSwap(0, uint32(cell.Exhausted)) // not when it stops
		n.config.Log.Info("the month's volume is used up: the node takes no circuits until the next", "bytes", v.Bytes)
		n.touch()
	case !left && now.Sub(v.out) >= exhaustAfter:
		for _, r := range n.circuits.all() {
			r.end(cell.Exhausted, 0)
		}
	case left && !v.out.IsZero():
		v.out = time.Time{}
		n.refusing.CompareAndSwap(uint32(cell.Exhausted), 0)
		n.config.Log.Info("there is a new month's volume: the node takes circuits again")
		n.touch()
	}
}
