package history

import (
	"cmp"
	"context"
	"slices"
)

// A Delta is what changed in a table between two versions.
type Delta struct {
	Version uint64 `json:"version" doc:"The table's version after this step; 0 in a part of a step that is not the last."`
	// Reset says that too much happened to list it: the connections here are
	// all that there are.
	Reset       bool         `json:"reset" doc:"The connections here are all there are; forget the others."`
	Connections []Connection `json:"connections" doc:"New and changed connections, ascending by ID."`
	Counters    []Counter    `json:"counters" doc:"Connections of which only the byte counts changed."`
	Removed     []uint64     `json:"removed" doc:"Connections that made room for newer ones."`
}

// A Counter is the new byte counts of a connection.
type Counter struct {
	ID       uint64 `json:"id"`
	Sent     uint64 `json:"sent"`
	Received uint64 `json:"received"`
}

// Since returns what changed after a version. Version 0 is before everything:
// it gives the whole table.
func (t *Table) Since(version uint64) Delta {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := Delta{
		Version:     t.version,
		Connections: []Connection{},
		Counters:    []Counter{},
		Removed:     []uint64{},
	}
	if version == 0 || version < t.forgot || version > t.version {
		d.Reset, version = true, 0
	}
	for el := t.changed.Back(); el != nil; el = el.Prev() {
		e := el.Value.(*entry)
		if e.updated > version {
			d.Connections = append(d.Connections, e.c)
		} else if e.counted > version {
			d.Counters = append(d.Counters, Counter{e.c.ID, e.c.Sent, e.c.Received})
		} else {
			break
		}
	}
	slices.SortFunc(d.Connections, func(a, b Connection) int { return cmp.Compare(a.ID, b.ID) })
	if d.Reset {
		return d
	}
	after, _ := slices.BinarySearchFunc(t.removed, version+1, func(r removal, v uint64) int { return cmp.Compare(r.version, v) })
	for _, r := range t.removed[after:] {
		d.Removed = append(d.Removed, r.id)
	}
	return d
}

// Wait returns when the table has changed after the version, or with the
// context's error.
func (t *Table) Wait(ctx context.Context, version uint64) error {
	for {
		t.mu.Lock()
		changed, wake := t.version > version, t.wake
		t.mu.Unlock()
		if changed {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		}
	}
}

// full says whether so much is unsaved that the next batch should not wait.
func (t *Table) full() (bool, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.version-t.saved > uint64(t.limit/4), t.wake
}

// markSaved notes that everything up to the version is written down.
func (t *Table) markSaved(version uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.saved = max(t.saved, version)
}

// Lost is the number of entries of which the last change was not written to
// the store, because the table was full before the store's turn came.
func (t *Table) Lost() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lost
}
