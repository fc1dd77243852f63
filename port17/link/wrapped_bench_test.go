//go:build unix

package link_test

import (
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
			var cells [link.MaxCells]*cell.Buf
			for sent := 0; sent < b.N; {
				some := cells[:min(len(cells), b.N-sent)]
				for i := range some {
					some[i] = l.Pool().Get()
				}
				for g.Queued() > 64*link.MaxCells {
					time.Sleep(20 * time.Microsecond)
				}
				if err := g.Push(cell.Relay, some...); err != nil {
					b.Fatal(err)
				}
				sent += len(some)
			}
			<-s.done
			b.ReportMetric((cpuTime()-before).Seconds()/(float64(b.N)*cell.Size/1e9), "cpu-s/GB")
		})
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
