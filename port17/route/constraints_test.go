package route

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Of a million routes none breaks a promise.
func TestConstraints(t *testing.T) {
	want := int64(1_000_000)
	if testing.Short() {
		want = 50_000
	}
	var routes, none atomic.Int64
	var running sync.WaitGroup
	for w := range runtime.GOMAXPROCS(0) {
		running.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 7))
			for routes.Load() < want && !t.Failed() {
				world := smallWorld(r)
				world.nodes, world.degree = 10+r.IntN(60), 6+r.IntN(12)
				if world.owners > 0 {
					world.owners, world.nets = world.nodes/2, world.nodes
				}
				m := world.build(t, r)
				f := New(m)
				for range 200 {
					q := randomRequest(r, m)
					for range 5 {
						found, err := f.Find(q)
						if err != nil {
							if none.Add(1); !errors.Is(err, ErrNoRoute) {
								t.Error(err)
							}
							break
						}
						routes.Add(1)
						if why := violation(m, &q, found.Nodes); why != "" {
							t.Errorf("%s: %+v", why, q)
							return
						}
						if !q.Met(found) {
							t.Errorf("its requirements are not met: %+v", q)
							return
						}
					}
				}
			}
		})
	}
	running.Wait()
	t.Logf("%d routes, %d requests without", routes.Load(), none.Load())
}

// A Finder may be used by many at once, for more entries than it remembers.
func TestFinderIsShared(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	w := smallWorld(r)
	w.nodes, w.degree, w.owners = 80, 20, 0
	m := w.build(t, r)
	f := New(m)
	var running sync.WaitGroup
	for g := range 8 {
		running.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 10))
			for range 300 {
				q := randomRequest(r, m)
				found, err := f.Find(q)
				if err != nil {
					continue
				}
				if why := violation(m, &q, found.Nodes); why != "" {
					t.Error(why)
				}
			}
		})
	}
	running.Wait()
	f.tables.mu.Lock()
	defer f.tables.mu.Unlock()
	if n := len(f.tables.known); n != mostTables || len(f.tables.used) != n {
		t.Errorf("%d tables are kept, and %d in order", n, len(f.tables.used))
	}
}
