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
