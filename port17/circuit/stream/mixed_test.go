package stream_test

import (
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit/stream"
	"safing/port17/shape"
)

// mixPump hands over what is on the wire once it has gone through hops that
// delay it.
func (p *pair) mixPump(w *wire, to *stream.Mux, hops int, mean time.Duration, source rand.Source) {
	gates := make([]*shape.Gate, hops)
	for i := range gates {
		gates[i] = shape.NewGate(mean, shape.Shape{}, time.Now(), source)
	}
	var cells []*cell.Buf
	timer := time.NewTimer(time.Hour)
	defer func() {
		timer.Stop()
		p.pool.PutAll(cells)
	}()
	for {
		now := time.Now()
		next := now.Add(time.Hour)
		for i, g := range gates {
			n, _ := g.Take(now)
			if i < len(gates)-1 {
				if n > 0 {
					gates[i+1].Add(now, n)
				}
			} else {
				for _, b := range cells[:n] {
					w.hand(b, to)
				}
				cells = cells[n:]
			}
		}
		for _, g := range gates {
			if at := g.Next(); !at.IsZero() && at.Before(next) {
				next = at
			}
		}
		timer.Reset(next.Sub(now))
		select {
		case <-p.stopped:
			return
		case <-timer.C:
		case b := <-w.cells:
			cells = append(cells, b)
			n := 1
			for len(w.cells) > 0 {
				cells = append(cells, <-w.cells)
				n++
			}
			gates[0].Add(time.Now(), n)
		}
	}
}

// A stream on a circuit that is mixed gets as much as its greatest window lets
// through in a round trip, although the least round trip is shorter.
func TestMixedThroughput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			hops, mean  = 5, 20 * time.Millisecond
			trickle     = 1000
			part, parts = 4 << 20, 6 // the last one counts
		)
		p := newPairWith(0, 2*hops*mean)
		p.origin.Ready()
		p.running.Go(func() { p.mixPump(&p.out, p.exit, hops, mean, rand.NewPCG(1, 2)) })
		p.running.Go(func() { p.mixPump(&p.back, p.origin, hops, mean, rand.NewPCG(3, 4)) })
		s, peer := p.open(t, nil)
		go func() {
			for range trickle { // from which the origin learns short round trips
				s.Write(noise[:1000])
				<-time.After(20 * time.Millisecond)
			}
			for {
				if _, err := s.Write(noise); err != nil {
					return
				}
			}
		}()
		if _, err := io.CopyN(io.Discard, peer, 1000*trickle); err != nil {
			t.Fatal(err)
		}
		var last time.Duration
		for range parts {
			begin := time.Now()
			if _, err := io.CopyN(io.Discard, peer, part); err != nil {
				t.Fatal(err)
			}
			last = time.Since(begin)
		}
		const window = 4096 * 4000
		if got, want := part/last.Seconds(), window/(2*hops*mean.Seconds()); got < want*0.6 {
			t.Errorf("%.1f MB/s, want about %.1f", got/1e6, want/1e6)
		}
		p.end(t)
	})
}
