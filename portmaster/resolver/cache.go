package resolver

import (
	"container/list"
	"sync"
	"time"
)

// cacheLimit is how many answers are kept.
const cacheLimit = 10_000

// A cacheKey is a question and the way on which it was answered.
type cacheKey struct {
	path      string // see path.key
	name      string // lower case
	qtype     uint16
	dnssec    bool // signatures were asked for
	unchecked bool // checking was disabled
}

// A cache keeps the answers that were asked for last, as long as they hold.
type cache struct {
	mu      sync.Mutex
	entries map[cacheKey]*list.Element // of *cached
	recent  list.List                  // the last used first
}

type cached struct {
	key    cacheKey
	answer *answer // never changed
	since  time.Time
}

func (c *cache) get(key cacheKey, now time.Time) (*answer, bool) {
	c.mu.Lock()
	e := c.entries[key]
	if e == nil {
		c.mu.Unlock()
		return nil, false
	}
	x := e.Value.(*cached)
	age := max(0, now.Sub(x.since))
	if age >= x.answer.ttl {
		c.removeLocked(e)
		c.mu.Unlock()
		return nil, false
	}
	c.recent.MoveToFront(e)
	c.mu.Unlock()
	return x.answer.aged(age), true
}

func (c *cache) put(key cacheKey, a *answer, now time.Time) {
	if a.ttl <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[cacheKey]*list.Element)
	}
	if e := c.entries[key]; e != nil {
		c.removeLocked(e)
	}
	if c.recent.Len() >= cacheLimit {
		c.removeLocked(c.recent.Back())
	}
	c.entries[key] = c.recent.PushFront(&cached{key, a, now})
}

func (c *cache) removeLocked(e *list.Element) {
	delete(c.entries, e.Value.(*cached).key)
	c.recent.Remove(e)
}
