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

// A Hop is one node of a circuit and whom its hello is made for.
type Hop struct {
	Node      netmap.Node
	Recipient tinker.Recipient
}

// build makes the burst of cells that creates the circuit. The first stream is
// opened in it unless there is no target.
func (c *Circuit) build(first *cell.Target, early []byte) (*stream.Stream, []*cell.Buf, error) {
	n := len(c.hops)
	if n == 0 || n > cell.Positions {
		return nil, nil, fmt.Errorf("build circuit: %d nodes, want 1 to %d", n, cell.Positions)
	}
	c.position = rand.IntN(cell.Positions - n + 1)
	c.handshakes = make([]*tinker.Initiator, n)
	c.mux = stream.New(stream.Config{
		Pool: c.pool, Start: cell.HeaderSize + n, Size: cell.ContentSize(c.position + n - 1), Send: c.send,
	})
	s, content, err := c.innermost(first, early)
	if err != nil {
		return nil, nil, err
	}
	for i := n - 1; i >= 0; i-- {
		p := cell.Parameters{Exit: i == n-1, Position: c.position + i}
		if !p.Exit {
			p.Next = c.hops[i+1].Node.ID
		}
		payload := append(p.Append(make([]byte, 0, cell.ParametersSize+len(content))), content...)
		if c.handshakes[i], content, err = tinker.Initiate(c.hops[i].Recipient, Label, payload); err != nil {
			return nil, nil, fmt.Errorf("build circuit: node %s: %w", c.hops[i].Node.ID.Short(), err)
		}
	}
	burst := make([]byte, cell.BurstSize)
	hello, padding := cell.PutHello(burst, len(content))
	copy(hello, content)
	c.padding.Fill(padding)
	return s, Cells(burst, c.pool), nil
}

// innermost makes the frames that go with the exit's hello.
func (c *Circuit) innermost(first *cell.Target, early []byte) (*stream.Stream, []byte, error) {
	last := c.position + len(c.hops) - 1
	area := make([]byte, cell.HelloSize(last, tinker.HelloOverhead)-tinker.HelloOverhead-cell.ParametersSize)
	if first == nil {
		return nil, area, nil
	}
	s, _, err := c.mux.First(area, *first, early)
	return s, area, err
}

// Cells puts a burst into cells from the pool. Their headers are the link's.
func Cells(burst []byte, pool *cell.Pool) []*cell.Buf {
	cells := make([]*cell.Buf, cell.BurstCells)
	for i := range cells {
		cells[i] = pool.Get()
		copy(cells[i][cell.HeaderSize:], burst[i*cell.PayloadSize:])
	}
	return cells
}

var errProtocol = errors.New("the protocol was broken")
