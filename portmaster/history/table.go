package history

import (
	"cmp"
	"container/list"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Key names a connection before it has an ID, so that what the kernel and
// the gateway know of one connection comes together.
type Key struct {
	Cookie      uint64 // of the socket, unique while the machine runs
	Protocol    string
	Destination netip.AddrPort
}

// A Table holds the newest connections. Make one with [NewTable].
type Table struct {
	mu      sync.Mutex
	limit   int
	lastID  uint64
	version uint64
	byID    map[uint64]*entry
	byKey   map[Key]*entry
	changed list.List // *entry, the last changed at the back
	open    list.List // *entry, the oldest first
	ended   list.List // *entry, the first ended first
	removed []removal // the last removals, ascending by version
	forgot  uint64    // version of the newest removal that removed no longer holds
	wake    chan struct{}
	saved   uint64 // version up to which a Store has written
	lost    uint64 // entries removed before a Store wrote their last change
}

type entry struct {
	c         Connection
	key       Key
	announced bool   // the kernel told of it
	claimed   bool   // the gateway carries it
	updated   uint64 // version of the last change
	counted   uint64 // version of the last change of the byte counts
	inChanged *list.Element
	inState   *list.Element // in open or ended
}

type removal struct{ version, id uint64 }

const removalLimit = 1 << 14

// NewTable returns a table for at most limit connections, whose IDs follow
// lastID. When it is full, the connection that ended first makes room, or the
// oldest when none has ended.
func NewTable(limit int, lastID uint64) *Table {
	return &Table{
		limit:  max(limit, 1),
		lastID: lastID,
		byID:   make(map[uint64]*entry),
		byKey:  make(map[Key]*entry),
		wake:   make(chan struct{}),
	}
}

// Add adds an entry that nothing else will speak of. It returns its ID.
func (t *Table) Add(c Connection) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.addLocked(c).c.ID
}

// Announce adds what the kernel tells of a connection. If the gateway was
// quicker, its entry stays as it is.
func (t *Table) Announce(key Key, c Connection) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byKey[key]; e != nil && !e.announced {
		e.announced = true
		return e.c.ID
	}
	e := t.addKeyLocked(key, c)
	e.announced = true
	return e.c.ID
}

// Claim adds what the gateway knows of a connection, or takes over the entry
// that the kernel announced.
func (t *Table) Claim(key Key, c Connection) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byKey[key]; e != nil && !e.claimed && e.c.Ended == nil {
		e.claimed = true
		return e.c.ID
	}
	e := t.addKeyLocked(key, c)
	e.claimed = true
	return e.c.ID
}

func (t *Table) addKeyLocked(key Key, c Connection) *entry {
	e := t.addLocked(c)
	e.key = key
	t.byKey[key] = e
	return e
}

func (t *Table) addLocked(c Connection) *entry {
	for len(t.byID) >= t.limit {
		t.evictLocked()
	}
	t.lastID++
	c.ID = t.lastID
	e := &entry{c: c.normal()}
	e.inChanged = t.changed.PushBack(e)
	e.inState = t.stateLocked(e).PushBack(e)
	t.byID[c.ID] = e
	t.touchLocked(e)
	e.updated = t.version
	return e
}

// stateLocked is the list that e belongs to.
func (t *Table) stateLocked(e *entry) *list.List {
	if e.c.Ended == nil {
		return &t.open
	}
	return &t.ended
}

func (t *Table) evictLocked() {
	oldest := t.ended.Front()
	if oldest == nil {
		oldest = t.open.Front()
	}
	e := oldest.Value.(*entry)
	if max(e.updated, e.counted) > t.saved {
		t.lost++
	}
	t.stateLocked(e).Remove(e.inState)
	t.changed.Remove(e.inChanged)
	delete(t.byID, e.c.ID)
	if t.byKey[e.key] == e {
		delete(t.byKey, e.key)
	}
	t.version++
	if len(t.removed) == removalLimit {
		cut := removalLimit / 2
		t.forgot = t.removed[cut-1].version
		t.removed = slices.Delete(t.removed, 0, cut)
	}
	t.removed = append(t.removed, removal{t.version, e.c.ID})
}

// touchLocked gives e a new version and wakes those who wait.
func (t *Table) touchLocked(e *entry) {
	t.version++
	t.changed.MoveToBack(e.inChanged)
	close(t.wake)
	t.wake = make(chan struct{})
}

// Update changes an entry. It does nothing when the entry is gone. change may
// replace lists but not write into them: they have been handed out. Only
// [Table.End] sets when an entry ended; the ID stays.
func (t *Table) Update(id uint64, change func(*Connection)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.byID[id]; e != nil {
		t.updateLocked(e, change)
	}
}

func (t *Table) updateLocked(e *entry, change func(*Connection)) {
	c := e.c
	change(&c)
	c.ID, c.Ended = e.c.ID, e.c.Ended
	e.c = c.normal()
	t.touchLocked(e)
	e.updated = t.version
}

// Count sets the bytes that passed so far. It does nothing when neither
// changed.
func (t *Table) Count(id, sent, received uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byID[id]
	if e == nil || e.c.Sent == sent && e.c.Received == received {
		return
	}
	e.c.Sent, e.c.Received = sent, received
	t.touchLocked(e)
	e.counted = t.version
}

// End marks an entry as ended, with the reason if it did not end well. An
// entry ends once.
func (t *Table) End(id uint64, at time.Time, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byID[id]
	if e == nil || e.c.Ended != nil {
		return
	}
	t.open.Remove(e.inState)
	e.c.Ended = &at
	e.inState = t.ended.PushBack(e)
	t.updateLocked(e, func(c *Connection) {
		if reason != "" {
			c.Error = reason
		}
	})
}

// Snapshot returns the connections that f selects, the oldest first.
func (t *Table) Snapshot(f Filter) []Connection {
	t.mu.Lock()
	all := make([]Connection, 0, min(len(t.byID), 1024))
	for _, e := range t.byID {
		if f.matches(&e.c) {
			all = append(all, e.c)
		}
	}
	t.mu.Unlock()
	slices.SortFunc(all, func(a, b Connection) int { return cmp.Compare(a.ID, b.ID) })
	return f.newest(all)
}

// A Live is a connection that has not ended and that no gateway carries.
type Live struct {
	ID      uint64
	Key     Key
	PID     int
	Started time.Time
}

// Unclaimed lists the open connections that only the kernel carries.
func (t *Table) Unclaimed() []Live {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Live
	for el := t.open.Front(); el != nil; el = el.Next() {
		if e := el.Value.(*entry); e.announced && !e.claimed {
			all = append(all, Live{e.c.ID, e.key, e.c.Process.PID, e.c.Started})
		}
	}
	return all
}

// Len is the number of connections in the table.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byID)
}
