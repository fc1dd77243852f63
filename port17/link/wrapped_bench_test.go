//go:build unix

package link_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/link"
)

// A sink counts cells.
type sink struct {
	want int
	done chan struct{}
}

func (s *sink) Receive(cells []byte) {
	if s.want -= len(cells) / cell.Size; s.want == 0 {
		close(s.done)
	}
}

func (s *sink) Closed(cell.Reason, uint8) {}

// BenchmarkWrapping measures one link over loopback: a circuit's cells, one way,
// from one goroutine into the link's queue to the receiver at the other side. It
// reports the CPU time of both ends.
func BenchmarkWrapping(b *testing.B) {
	for _, w := range []netmap.Wrapping{netmap.TCP, netmap.QUIC, netmap.TLS} {
		b.Run(w.String(), func(b *testing.B) {
			s := &sink{want: b.N + 4, done: make(chan struct{})}
			n, listener := newWrapped(b, w)
			n.serve(b, listener, link.Config{Accept: func(*link.Leg) link.Receiver { return s }})
			l := dial(b, n.Node, link.Config{Wrappings: []netmap.Wrapping{w}})
			g, _ := open(b, l)
			b.SetBytes(cell.Size)
			b.ReportAllocs()
			before := cpuTime()
			b.ResetTimer()
			pour(b, g, b.N)
			<-s.done
			b.ReportMetric((cpuTime()-before).Seconds()/(float64(b.N)*cell.Size/1e9), "cpu-s/GB")
		})
	}
}

// BenchmarkParallel measures 64 circuits, one way over loopback, that are spread
// over links beside each other. Both nodes are in this process.
func BenchmarkParallel(b *testing.B) {
	const circuits = 64
	for _, parallel := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(parallel), func(b *testing.B) {
			each := b.N/circuits + 1
			var arriving sync.WaitGroup
			arriving.Add(circuits)
			n, listener := newWrapped(b, netmap.TCP)
			n.serve(b, listener, link.Config{Accept: func(*link.Leg) link.Receiver {
				s := &sink{want: each + 4, done: make(chan struct{})}
				go func() {
					<-s.done
					arriving.Done()
				}()
				return s
			}})
			var links []*link.Link
			for range parallel {
				links = append(links, dial(b, n.Node, link.Config{}))
			}
			var legs []*link.Leg
			for range circuits {
				g, _ := open(b, link.LeastBusy(links, time.Minute))
				legs = append(legs, g)
			}
			b.SetBytes(cell.Size)
			before := cpuTime()
			b.ResetTimer()
			for _, g := range legs {
				go pour(b, g, each)
			}
			arriving.Wait()
			b.ReportMetric((cpuTime()-before).Seconds()/(float64(each*circuits)*cell.Size/1e9), "cpu-s/GB")
		})
	}
}

// pour sends count cells as fast as the link takes them.
func pour(b *testing.B, g *link.Leg, count int) {
	var cells [link.MaxCells]*cell.Buf
	pool := g.Link().Pool()
	for count > 0 {
		some := cells[:min(len(cells), count)]
		for i := range some {
			some[i] = pool.Get()
		}
		for g.Queued() > 16*link.MaxCells {
			time.Sleep(20 * time.Microsecond)
		}
		if err := g.Push(cell.Relay, some...); err != nil {
			b.Error(err)
			return
		}
		count -= len(some)
	}
}

// cpuTime returns what the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
