package circuit

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit/stream"
	"safing/tinker"
)

// Label separates the hellos of circuits from those of links.
const Label = "port17 circuit v1"

// leastRoom is how many bytes behind the handshakes have to be left where a
// target, and data for it, go to the exit with the first flight.
const leastRoom = 512

// A Hop is one node of a circuit and whom its hello is made for.
type Hop struct {
	Node      netmap.Node
	Recipient tinker.Recipient
}

// build makes the burst of cells that creates the circuit. The first stream is
// opened in it unless there is no target.
func (c *Circuit) build(d Dialer, first *cell.Target, early []byte) (*stream.Stream, []*cell.Buf, error) {
	n := len(c.hops)
	if n == 0 || n > cell.Positions {
		return nil, nil, fmt.Errorf("build circuit: %d nodes, want 1 to %d", n, cell.Positions)
	}
	if err := c.checkSuites(); err != nil {
		return nil, nil, fmt.Errorf("build circuit: %w", err)
	}
	hops := c.route()
	overhead, err := tinker.RouteOverhead(hops)
	if err != nil {
		return nil, nil, fmt.Errorf("build circuit: %w", err)
	}
	overhead += n * cell.ParametersSize
	size, err := c.place(overhead, first != nil)
	if err != nil {
		return nil, nil, err
	}
	for i := range hops {
		p := cell.Parameters{Exit: i == n-1, Position: c.position + i, Delay: d.Delay}
		if i == n/2 {
			p.Padding = d.Shape.Back()
		}
		if !p.Exit {
			p.Next = c.hops[i+1].Node.ID
		}
		hops[i].Parameters = p.Append(hops[i].Parameters)
	}
	c.onion = tinker.NewOnion(cell.PayloadSize, c.position, nil)
	c.mux = stream.New(stream.Config{
		Pool: c.pool, Start: cell.HeaderSize + n, Size: cell.ContentSize(c.position + n - 1), Send: c.send,
		Delay: d.roundTrip(n),
	})
	s, content, err := c.innermost(cell.HelloSize(size, c.position)-overhead, first, early)
	if err != nil {
		return nil, nil, err
	}
	if c.handshakes, content, err = tinker.InitiateRoute(Label, hops, content); err != nil {
		return nil, nil, fmt.Errorf("build circuit: %w", err)
	}
	burst := make([]byte, size*cell.PayloadSize)
	hello, padding := cell.PutHello(burst, len(content))
	copy(hello, content)
	tinker.NewPadding().Fill(padding)
	return s, Cells(burst, c.pool), nil
}

// place chooses how many cells the burst has, as few as the handshakes need, and
// the first hop's place among the layers, at random as far as these leave room:
// five nodes without a stream fill three and begin at 0. The number of cells
// tells those on the way whether the circuit is a long one, or of a suite with
// long hellos.
func (c *Circuit) place(overhead int, first bool) (cells int, err error) {
	if first {
		overhead += leastRoom
	}
	for cells = cell.LeastBurst; cell.HelloSize(cells, 0) < overhead; cells++ {
		if cells == cell.MostBurst {
			return 0, fmt.Errorf("build circuit: the handshakes of %d nodes take %d bytes, there is room for %d", len(c.hops), overhead, cell.HelloSize(cells, 0))
		}
	}
	positions := 1
	for positions <= cell.Positions-len(c.hops) && cell.HelloSize(cells, positions) >= overhead {
		positions++
	}
	c.position = rand.IntN(positions)
	return cells, nil
}

// innermost makes the frames that go with the exit's hello.
func (c *Circuit) innermost(size int, first *cell.Target, early []byte) (*stream.Stream, []byte, error) {
	area := make([]byte, size)
	if first == nil {
		return nil, area, nil
	}
	s, _, err := c.mux.First(area, *first, early)
	return s, area, err
}

// checkSuites says whether hellos may be made of the suites.
func (c *Circuit) checkSuites() error {
	if c.policies == nil {
		return nil
	}
	for _, h := range c.hops {
		if err := c.policies.Check(h.Recipient.Prekey.Suite); err != nil {
			return err
		}
	}
	return nil
}

// route is whom the hellos are for, with room for their parameters.
func (c *Circuit) route() []tinker.Hop {
	hops := make([]tinker.Hop, len(c.hops))
	for i, h := range c.hops {
		hops[i] = tinker.Hop{Recipient: h.Recipient, Parameters: make([]byte, 0, cell.ParametersSize)}
	}
	return hops
}

// Cells puts a burst into cells from the pool. Their headers are the link's.
func Cells(burst []byte, pool *cell.Pool) []*cell.Buf {
	cells := make([]*cell.Buf, len(burst)/cell.PayloadSize)
	for i := range cells {
		cells[i] = pool.Get()
		copy(cells[i][cell.HeaderSize:], burst[i*cell.PayloadSize:])
	}
	return cells
}

var errProtocol = errors.New("the protocol was broken")
