package circuit_test

import (
	"testing"
	"testing/synctest"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/link"
	"safing/port17/shape"
	"safing/tinker"
)

// At a constant rate a cell leaves in every interval, whatever is written, and
// those that are padding end at all nodes behind the entry.
func TestConstantRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, 3, link.Config{})
		defer p.end()
		d := circuit.Dialer{Shape: shape.Shape{Kind: shape.Constant, Rate: 10}}
		c, s, err := d.Dial(p.origin, p.hops, &site, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.build()
		synctest.Wait()
		if !built(c) {
			t.Fatal("the circuit is not built")
		}
		<-time.After(10 * time.Second)
		go s.Write(make([]byte, 50*cell.Size))
		<-time.After(20 * time.Second)
		synctest.Wait()
		c.Close()
		<-time.After(10 * time.Second)
		if n := len(p.times); n < 299 || n > 301 {
			t.Errorf("%d cells left in 30 s, want 300", n)
		}
		for i := 1; i < len(p.times); i++ {
			if gap := p.times[i].Sub(p.times[i-1]); gap != 100*time.Millisecond {
				t.Errorf("cell %d left %s behind the one before", i, gap)
			}
		}
		if p.drops[0] != 0 || p.drops[1] < 80 || p.drops[2] < 80 || p.drops[1]+p.drops[2] > 250 {
			t.Errorf("the nodes got padding of %v", p.drops)
		}
	})
}

// Adaptive padding holds no cell back, and begins behind what comes.
func TestAdaptivePadding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, 3, link.Config{})
		defer p.end()
		own, err := shape.Parse("own:100;burst=100ms*1 gap=50ms*9,never*1")
		if err != nil {
			t.Fatal(err)
		}
		c, s, err := circuit.Dialer{Shape: own}.Dial(p.origin, p.hops, &site, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.build()
		synctest.Wait()
		if n := len(p.times); n != 0 {
			t.Errorf("%d cells left before there was anything", n)
		}
		begin := time.Now()
		if _, err := s.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		if len(p.times) < 100 || !p.times[0].Equal(begin) || p.drops[1]+p.drops[2] != len(p.times)-1 {
			t.Errorf("%d cells, %v of padding", len(p.times), p.drops)
		}
		c.Close()
		<-time.After(time.Second)
		n := len(p.times)
		<-time.After(time.Minute)
		if len(p.times) != n {
			t.Error("a circuit that has ended is padded")
		}
	})
}

// Padding from nodes is no frame, and does not make the origin pad.
func TestPaddingFromNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, 3, link.Config{})
		defer p.end()
		c, s, err := circuit.Dialer{Shape: shape.Shape{Kind: shape.Heavy, Rate: 100}}.Dial(p.origin, p.hops, &site, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		p.build()
		for i := range p.hops {
			b := p.link.Pool().Get()
			for at := range b {
				b[at] = byte(cell.OpenFrame) // would break the protocol
			}
			p.wrap(b[cell.HeaderSize:], i+1, tinker.LayerDrop, -1)
			p.push(cell.Relay, b)
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		if c.Err() != nil || s.Err() != nil || len(p.times) != 0 {
			t.Errorf("circuit: %v, stream: %v, %d cells left", c.Err(), s.Err(), len(p.times))
		}
		c.Close()
		synctest.Wait()
	})
}

// What is asked of the nodes: delays of all, padding of the one in the middle.
func TestAskedOfNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n := 1; n <= cell.Positions; n++ {
			p := newPath(t, n, link.Config{})
			d := circuit.Dialer{Delay: 70 * time.Millisecond, Shape: shape.Shape{Kind: shape.Light, Rate: 9}}
			c, _, err := d.Dial(p.origin, p.hops, nil, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			for i, asked := range p.asked {
				want := shape.Shape{}
				if i == n/2 {
					want = d.Shape
				}
				if asked.Delay != d.Delay || asked.Padding != want {
					t.Errorf("node %d of %d is asked for %s, %s", i+1, n, asked.Delay, asked.Padding)
				}
			}
			c.Close()
			p.end()
		}
	})
}

// The nodes' replies are waited for as long as they may wait at nodes.
func TestSlowReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, 3, link.Config{})
		defer p.end()
		c, _, err := circuit.Dialer{Delay: 5 * time.Second}.Dial(p.origin, p.hops, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(79 * time.Second)
		if c.Err() != nil {
			t.Errorf("after 79 s: %v", c.Err())
		}
		<-time.After(2 * time.Second)
		if c.Err() == nil {
			t.Error("the circuit waits on")
		}
	})
}
