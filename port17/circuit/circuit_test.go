package circuit_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/link"
)

var site = cell.Target{Host: "example.com", Port: 443}

// dial begins a circuit; its hellos have arrived then.
func dial(t *testing.T, p *path, to *cell.Target, early []byte, ended func(error)) (*circuit.Circuit, *stream.Stream) {
	t.Helper()
	c, s, err := circuit.Dial(p.origin, p.hops, to, early, ended)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return c, s
}

func built(c *circuit.Circuit) bool {
	select {
	case <-c.Built():
		return true
	default:
		return false
	}
}

// Target and early data travel with the handshakes, and the rest as soon as
// all nodes have replied.
func TestFirstFlight(t *testing.T) {
	early := make([]byte, stream.MaxEarly)
	rand.Read(early)
	for _, test := range []struct{ nodes, early, cells int }{
		{1, len(early), 3}, {2, 0, 3}, {3, 0, 3}, {3, 100, 3}, {3, len(early), 3}, {4, 5000, 3}, {5, 0, 4}, {6, 5000, 4},
	} {
		n, size := test.nodes, test.early
		synctest.Test(t, func(t *testing.T) {
			p := newPath(t, n, link.Config{})
			defer p.end()
			c, s := dial(t, p, &site, early[:size], nil)
			open, rest, err := cell.NextFrame(p.first)
			if to, targetErr := cell.ParseTarget(open.Data); err != nil || targetErr != nil || to != site {
				t.Fatalf("%d nodes: the first frame is %+v, %v", n, open, err)
			}
			data, rest, err := cell.NextFrame(rest)
			if fits := min(size, len(data.Data)+len(rest)); err != nil || !bytes.Equal(data.Data, early[:fits]) {
				t.Errorf("%d nodes: %d of %d bytes came with the hello, %v", n, len(data.Data), size, err)
			}
			if got := len(p.burst) / cell.PayloadSize; got != test.cells {
				t.Errorf("the burst of %d nodes has %d cells, want %d", n, got, test.cells)
			}
			for i, got := range p.hellos {
				if want := cell.HelloSize(len(p.burst)/cell.PayloadSize, p.position+i); got != want {
					t.Errorf("the hello of node %d of %d has %d bytes, want %d", i+1, n, got, want)
				}
			}
			if len(c.Hops()) != n || c.Streams() != 1 || built(c) {
				t.Errorf("%d nodes, %d streams, built: %v", len(c.Hops()), c.Streams(), built(c))
			}
			p.serve()
			for i := range n {
				if built(c) || c.RTT() != 0 {
					t.Errorf("built by %d of %d replies", i, n)
				}
				<-time.After(time.Second)
				p.reply(i)
				synctest.Wait()
			}
			if want := time.Duration(n) * time.Second; !built(c) || c.RTT() != want {
				t.Errorf("built: %v in %s, want %s", built(c), c.RTT(), want)
			}
			echo(t, s, <-p.streams, early[:size])
			later, err := c.Open(site, []byte("later"))
			if err != nil {
				t.Fatal(err)
			}
			echo(t, later, <-p.streams, []byte("later"))
			c.Close()
			synctest.Wait()
		})
	}
}

// echo sends back at the exit what arrives.
func echo(t *testing.T, s, exit *stream.Stream, want []byte) {
	t.Helper()
	s.CloseWrite()
	go func() {
		io.Copy(exit, exit)
		exit.CloseWrite()
	}()
	if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d came back, %v", len(got), len(want), err)
	}
	s.Close()
	exit.Close()
}

func TestNoTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, 3, link.Config{})
		defer p.end()
		c, s := dial(t, p, nil, nil, nil)
		if s != nil || c.Streams() != 0 {
			t.Error("a stream was opened")
		}
		if len(bytes.Trim(p.first, "\x00")) != 0 {
			t.Error("the exit got frames")
		}
		s, err := c.Open(site, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		p.build()
		echo(t, s, <-p.streams, []byte("x"))
		c.Close()
	})
}

func TestDialErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPath(t, cell.Positions+1, link.Config{})
		defer p.end()
		expired := append([]circuit.Hop(nil), p.hops[:3]...)
		expired[1].Recipient.Prekey.Public = nil
		for name, test := range map[string]struct {
			hops  []circuit.Hop
			to    cell.Target
			early int
		}{
			"no nodes":            {nil, site, 0},
			"too many nodes":      {p.hops, site, 0},
			"no target":           {p.hops[:3], cell.Target{}, 0},
			"too much early data": {p.hops[:3], site, stream.MaxEarly + 1},
			"no prekey":           {expired, site, 0},
		} {
			if _, _, err := circuit.Dial(p.origin, test.hops, &test.to, make([]byte, test.early), nil); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		p.origin.Close()
		<-p.origin.Done()
		if _, _, err := circuit.Dial(p.origin, p.hops[:3], &site, nil, nil); !errors.Is(err, link.ErrLegClosed) {
			t.Errorf("on a link that was closed: %v", err)
		}
	})
}

// What layers leave of a cell does not tell the place of its sender.
func TestPadding(t *testing.T) {
	positions := make(map[int]bool)
	for range 16 {
		synctest.Test(t, func(t *testing.T) {
			p := newPath(t, 2, link.Config{})
			defer p.end()
			c, s := dial(t, p, &site, nil, nil)
			if p.position < 0 || p.position > cell.Positions-2 {
				t.Errorf("position %d", p.position)
			}
			positions[p.position] = true
			p.build()
			synctest.Wait()
			s.Write(make([]byte, 3*cell.Size))
			synctest.Wait()
			tails := [][]byte{p.burst[3+p.hellos[0]:]}
			for _, b := range p.cells {
				tails = append(tails, b[cell.LayerSize(p.position):])
			}
			if len(tails) < 4 {
				t.Fatalf("%d cells came", len(tails)-1)
			}
			for i, tail := range tails {
				if p.position > 0 && (bytes.Count(tail, []byte{0}) > len(tail)/2 || i > 1 && bytes.Equal(tail, tails[i-1])) {
					t.Errorf("cell %d ends with %x", i, tail)
				}
			}
			c.Close()
			synctest.Wait()
			(<-p.streams).Close()
		})
	}
	if len(positions) < 2 {
		t.Errorf("positions %v", positions)
	}
}
