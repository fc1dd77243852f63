package tinker

import (
	"sync"
	"sync/atomic"
)

// grain is how many cells a worker takes at once: less is not worth waking it.
const grain = 4

// Workers share batches of cells between cores. Any number of routes may use
// them at the same time. Whoever has a batch works on it, too, and waits for
// no worker that is busy elsewhere.
type Workers struct {
	jobs chan *job
	done sync.WaitGroup
}

// NewWorkers starts n goroutines, which end with Close.
func NewWorkers(n int) *Workers {
	w := &Workers{jobs: make(chan *job)}
	for range n {
		w.done.Go(func() {
			for j := range w.jobs {
				j.share()
				j.helpers.Done()
			}
		})
	}
	return w
}

// Close ends the workers. Nobody may use them any more.
func (w *Workers) Close() {
	close(w.jobs)
	w.done.Wait()
}

// A job is cells 0 to n-1, on which one function works.
type job struct {
	work    func(cell int)
	n       int
	next    atomic.Int64
	helpers sync.WaitGroup
}

// run works on n cells and returns when all are done. w may be nil.
func (w *Workers) run(j *job, n int) {
	j.n = n
	j.next.Store(0)
	if w != nil {
		for left := n - grain; left > 0; left -= grain {
			j.helpers.Add(1)
			select {
			case w.jobs <- j:
				continue
			default: // all are busy
				j.helpers.Done()
			}
			break
		}
	}
	j.share()
	j.helpers.Wait()
}

// share works on what nobody has taken yet.
func (j *job) share() {
	for {
		to := int(j.next.Add(grain))
		for i := to - grain; i < min(to, j.n); i++ {
			j.work(i)
		}
		if to >= j.n {
			return
		}
	}
}
