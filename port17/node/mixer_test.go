package node

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/link"
	"safing/port17/shape"
)

// runMixer runs a mixer in a synctest bubble.
func runMixer(t *testing.T, f func(m *mixer, pool *cell.Pool)) {
	synctest.Test(t, func(t *testing.T) {
		var pool cell.Pool
		m := &mixer{pool: &pool, wake: make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.run(ctx)
		}()
		f(m, &pool)
		cancel()
		<-done
		m.stop()
		if n := pool.Used(); n != 0 {
			t.Errorf("%d cells are still in use", n)
		}
	})
}

// numbered makes cells that carry numbers.
func numbered(pool *cell.Pool, from, n int) (cells []*cell.Buf) {
	for i := range n {
		b := pool.Get()
		b[0], b[1] = byte((from+i)>>8), byte(from+i)
		cells = append(cells, b)
	}
	return cells
}

// Cells leave in order, each after a time, and the mean of these is what was
// asked for.
func TestMixerDelays(t *testing.T) {
	runMixer(t, func(m *mixer, pool *cell.Pool) {
		const mean, n = 50 * time.Millisecond, 9000
		var left []int
		var came, gone time.Duration
		begin := time.Now()
		o := m.outlet(mean, shape.Shape{}, n, func(cells []*cell.Buf, padding int) {
			for _, b := range cells {
				left = append(left, int(b[0])<<8|int(b[1]))
				gone += time.Since(begin)
			}
			if padding != 0 {
				t.Error("there is padding")
			}
			pool.PutAll(cells)
		})
		for i := 0; i < n; i += 3 {
			came += 3 * time.Since(begin)
			if !o.add(numbered(pool, i, 3), 0) {
				t.Fatal("the outlet is full")
			}
			<-time.After(10 * time.Millisecond)
		}
		over := false
		o.then(func() { over = len(left) == n })
		<-time.After(10 * time.Second)
		synctest.Wait()
		if len(left) != n || !slices.IsSorted(left) || !over {
			t.Fatalf("%d of %d cells left, in order: %v; then what comes behind: %v", len(left), n, slices.IsSorted(left), over)
		}
		if got := (gone - came) / n; got < mean*95/100 || got > mean*105/100 {
			t.Errorf("cells waited %s on the average, want %s", got, mean)
		}
		o.close()
	})
}

// What waits is bounded, and given back when the circuit ends or the node stops.
func TestMixerBounds(t *testing.T) {
	runMixer(t, func(m *mixer, pool *cell.Pool) {
		leave := func(cells []*cell.Buf, _ int) { pool.PutAll(cells) }
		o := m.outlet(time.Minute, shape.Shape{}, 10, leave)
		if !o.add(numbered(pool, 0, 6), 4) {
			t.Error("ten cells do not fit")
		}
		more := numbered(pool, 6, 1)
		if o.add(more, 4) {
			t.Error("eleven cells fit")
		}
		pool.PutAll(more)
		o.then(func() { t.Error("it was done for a circuit that has ended") })
		o.close()
		o.close()
		if n := pool.Used(); n != 0 {
			t.Errorf("%d cells wait for a circuit that has ended", n)
		}
		if !o.add(numbered(pool, 0, 1), 0) {
			t.Error("cells of a circuit that has ended fill it")
		}
		done := 0
		after(o, func() { done++ })
		left := m.outlet(time.Minute, shape.Shape{}, 10, leave)
		left.add(numbered(pool, 0, 5), 0)
		left.then(func() { done++ })
		idle := m.outlet(time.Minute, shape.Shape{}, 10, leave)
		m.stop()
		after(idle, func() { done++ })
		after(m.outlet(time.Minute, shape.Shape{}, 10, leave), func() { done++ })
		if done != 4 {
			t.Errorf("%d of 4 things were done", done)
		}
	})
}

// Many circuits at once, that come and go.
func TestMixerConcurrent(t *testing.T) {
	var pool cell.Pool
	m := &mixer{pool: &pool, wake: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	var running, circuits sync.WaitGroup
	running.Go(func() { m.run(ctx) })
	for i := range 20 {
		circuits.Go(func() {
			last, over := -1, make(chan struct{})
			s := []shape.Shape{{}, {Kind: shape.Constant, Rate: 1000}, {Kind: shape.Heavy, Rate: 1000}}[i%3]
			o := m.outlet(time.Duration(i%2)*time.Millisecond, s, 1000, func(cells []*cell.Buf, _ int) {
				for _, b := range cells {
					if n := int(b[0])<<8 | int(b[1]); n != last+1 {
						t.Errorf("cell %d left behind %d", n, last)
					} else {
						last = n
					}
				}
				pool.PutAll(cells)
			})
			for j := range 100 {
				o.add(numbered(&pool, j, 1), 0)
				o.seen()
			}
			if i%4 > 0 {
				o.then(func() { close(over) })
				<-over
				if last != 99 {
					t.Errorf("the last cell was %d", last)
				}
			}
			o.close()
		})
	}
	circuits.Wait()
	cancel()
	running.Wait()
	m.stop()
	if n := pool.Used(); n != 0 || len(m.due) != 0 {
		t.Errorf("%d cells are still in use, %d outlets due", n, len(m.due))
	}
}

// When the origin ends a circuit, that waits behind its cells; when the node does,
// they are given back.
func TestMixedCircuitEnds(t *testing.T) {
	for name, end := range map[string]func(*relay){
		"by the origin": func(r *relay) { r.Closed(cell.Finished, 0) },
		"by the node":   func(r *relay) { r.unmix(r.mix) },
	} {
		t.Run(name, func(t *testing.T) {
			runMixer(t, func(m *mixer, pool *cell.Pool) {
				n := &Node{}
				r := &relay{node: n, share: new(share)}
				left := 0
				leave := func(cells []*cell.Buf, _ int) {
					if left += len(cells); r.hasEnded() {
						t.Error("a cell left behind the end")
					}
					pool.PutAll(cells)
				}
				r.mix = &mixing{
					forward: m.outlet(time.Second, shape.Shape{}, 100, leave), back: m.outlet(time.Second, shape.Shape{}, 100, leave),
				}
				r.mix.forward.add(numbered(pool, 0, 50), 0)
				end(r)
				if r.hasEnded() {
					t.Error("it ended at once")
				}
				<-time.After(time.Minute)
				synctest.Wait()
				want := map[string]int{"by the origin": 50}[name]
				if r.hasEnded() != (want > 0) || left != want {
					t.Errorf("%d cells left, ended: %v", left, r.hasEnded())
				}
			})
		})
	}
}

// A circuit that is answered while the node stops ends, and holds nothing up.
func TestMixedWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, hop := lone(t)
		n.mixer.pool, n.mixer.wake = &n.pool, make(chan struct{}, 1)
		n.descriptor = &netmap.Descriptor{MaxDelay: time.Second, MaxPadding: 100}
		n.padding.limit = 100
		l := n.enter(t, hop, link.Config{})
		target := cell.Target{Host: "example.org", Port: 80}
		n.mixer.stop()
		for _, to := range []*cell.Target{nil, &target} {
			for _, d := range []circuit.Dialer{
				{Delay: time.Millisecond},
				{Shape: shape.Shape{Kind: shape.Constant, Rate: 100}},
			} {
				c, _, err := d.Dial(l, []circuit.Hop{hop}, to, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				if r, _ := outcome(t, c); r != cell.ShuttingDown {
					t.Errorf("%+v: %q, want %q", d, r, cell.ShuttingDown)
				}
			}
		}
		synctest.Wait()
		if got := n.padding.taken(); got != 0 {
			t.Errorf("%d cells a second are still promised", got)
		}
	})
}

// A thousand circuits at a constant rate, one of which has cells.
func BenchmarkMixer(b *testing.B) {
	var pool cell.Pool
	m := &mixer{pool: &pool, wake: make(chan struct{}, 1)}
	for range 1000 {
		m.outlet(0, shape.Shape{Kind: shape.Constant, Rate: 1}, 1, func([]*cell.Buf, int) {})
	}
	left := 0
	o := m.outlet(time.Nanosecond, shape.Shape{}, 100, func(cells []*cell.Buf, _ int) {
		left += len(cells)
		pool.PutAll(cells)
	})
	var batch [16]*cell.Buf
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch {
			batch[i] = pool.Get()
		}
		o.add(batch[:], 0)
		for left = 0; left < len(batch); {
			m.leaveAll()
		}
	}
	b.SetBytes(int64(len(batch) * cell.Size))
}
