package node

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/link"
)

func TestVolume(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "volume")
	at := func(s string) time.Time {
		now, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	var last uint64
	for _, c := range []struct {
		at    string
		total uint64 // since the start, so it falls when that is anew
		anew  bool
		want  uint64
		left  bool
	}{
		{"2026-11-21T10:00:00Z", 0, true, 0, true},
		{"2026-11-21T11:00:00Z", 400, false, 400, true},
		{"2026-11-22T11:00:00Z", 999, false, 999, true},
		{"2026-11-22T11:00:00Z", 100, true, 1099, false},
		{"2026-11-30T23:59:59Z", 200, false, 1199, false},
		{"2026-12-01T00:30:00+01:00", 200, false, 1199, false}, // by UTC
		{"2026-12-01T00:00:00Z", 300, false, 100, true},
		{"2026-12-01T00:00:00Z", 0, true, 100, true},
	} {
		v, err := loadVolume(1000, path)
		if err != nil {
			t.Fatal(err)
		}
		if !c.anew {
			v.total = last
		}
		if left := v.count(at(c.at), c.total); left != c.left || v.Bytes != c.want {
			t.Errorf("%s, %d moved: %d are used, some left: %v, want %d and %v", c.at, c.total, v.Bytes, left, c.want, c.left)
		}
		if err := v.save(at(c.at)); err != nil {
			t.Fatal(err)
		}
		last = c.total
	}
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadVolume(1000, path); err == nil || !strings.Contains(err.Error(), "remove "+path) {
		t.Errorf("a broken file: %v", err)
	}
}

// When a month's volume is used up the node takes no circuits, ends those that
// it has after a minute, and goes on in the next month.
func TestVolumeUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l, hop := linked(t)
		n.config.Log = slog.New(slog.DiscardHandler)
		v := &volume{limit: 1 << 20, path: filepath.Join(t.TempDir(), "volume")}
		dial := func() *circuit.Circuit {
			t.Helper()
			c, _, err := circuit.Dial(l, []circuit.Hop{hop}, nil, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return c
		}
		wantEnd := func(c *circuit.Circuit) {
			t.Helper()
			synctest.Wait()
			var ended *circuit.Error
			if err := c.Err(); !errors.As(err, &ended) || ended.Reason != cell.Exhausted {
				t.Errorf("the circuit ended: %v, want %q", err, cell.Exhausted)
			}
		}
		first := dial()
		if n.spend(v, time.Now()); n.refusal() != 0 {
			t.Error("it refuses circuits before its volume is used up")
		}
		n.past.Add(link.Traffic{BytesSent: 1 << 19, BytesReceived: 1 << 19})
		n.spend(v, time.Now())
		wantEnd(dial())
		n.spend(v, time.Now().Add(exhaustAfter-time.Second))
		if synctest.Wait(); first.Err() != nil {
			t.Errorf("the circuit that it had ended at once: %v", first.Err())
		}
		n.spend(v, time.Now().Add(exhaustAfter))
		wantEnd(first)
		n.spend(v, time.Now().AddDate(0, 1, 0))
		if c := dial(); c.Err() != nil || n.Stats().Volume >= 1<<20 {
			t.Errorf("in the next month: %v", c.Err())
		}
		n.refusing.Store(uint32(cell.ShuttingDown))
		n.past.Add(link.Traffic{BytesSent: 1 << 20})
		n.spend(v, time.Now().AddDate(0, 1, 0))
		n.spend(v, time.Now().AddDate(0, 2, 0))
		if n.refusal() != cell.ShuttingDown {
			t.Error("it is open again though it stops")
		}
	})
}
