package node_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/link"
	"safing/port17/testnet"
)

// An ending notes why a circuit has ended.
type ending chan cell.Reason

func (ending) Receive([]byte)                  {}
func (e ending) Closed(r cell.Reason, _ uint8) { e <- r }

func (e ending) want(t *testing.T, want cell.Reason) {
	t.Helper()
	select {
	case got := <-e:
		if got != want {
			t.Errorf("the circuit ended: %s, want %s", got, want)
		}
	case <-time.After(5 * time.Second):
		t.Errorf("the circuit did not end, want %s", want)
	}
}

// A burst that never becomes whole is held until the next one begins, and no
// longer: first cells cost their sender little and the node a whole burst.
func TestHalfBursts(t *testing.T) {
	l, _ := testnet.Start(t, 2).Route(t, 0, 1)
	begin := func(cells int) ending {
		t.Helper()
		var burst []*cell.Buf
		for range cells {
			b := l.Pool().Get()
			clear(b[:])
			b[cell.HeaderSize] = cell.LeastBurst
			burst = append(burst, b)
		}
		end := make(ending, 1)
		if _, err := l.Open(end, burst); err != nil {
			t.Fatal(err)
		}
		return end
	}
	first, second := begin(1), begin(cell.LeastBurst-1)
	first.want(t, cell.Protocol)
	whole := begin(cell.LeastBurst)
	second.want(t, cell.Protocol)
	whole.want(t, cell.BadHello)
	begin(1)
	select {
	case <-l.Done():
		t.Error("the link ended:", l.Err())
	default:
	}
}

// An exit that is out of memory ends circuits on which more is sent, whichever
// end sends.
func TestExitOutOfMemory(t *testing.T) {
	for _, sender := range []string{"origin", "destination"} {
		t.Run(sender, func(t *testing.T) {
			n := testnet.Start(t, 3)
			server, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Close() })
			l, hops := n.Route(t, 0, 1)
			to := target(server.Addr().(*net.TCPAddr).AddrPort())
			c, s, err := circuit.Dial(l, hops, &to, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := server.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			<-s.Opened()
			n.Nodes[1].FillMemory()
			if sender == "origin" {
				s.Write([]byte("x"))
			} else {
				conn.Write([]byte("x"))
			}
			select {
			case <-c.Done():
			case <-time.After(5 * time.Second):
				t.Fatal("the circuit lives on")
			}
			var ended *circuit.Error
			if err := c.Err(); !errors.As(err, &ended) || ended.Reason != cell.OutOfMemory || ended.Hop != 1 {
				t.Errorf("the circuit ended: %v", err)
			}
		})
	}
}

// Circuits can be many and have many streams: an exit has one bound for all its
// connections and one for all associations. Who holds many of them is refused
// before others are, and gets more when some have ended.
func TestExitShares(t *testing.T) {
	server, _ := echo(t)
	for name, to := range map[string]cell.Target{"connections": target(server), "associations": {UDP: true}} {
		t.Run(name, func(t *testing.T) {
			n := testnet.Start(t, 3)
			n.Nodes[1].LimitConnections(4)
			n.Nodes[1].LimitAssociations(4)
			l, hops := n.Route(t, 0, 1)
			var c *circuit.Circuit
			ask := func() (*stream.Stream, error) {
				t.Helper()
				s, err := c.Open(to, nil)
				if err != nil {
					t.Fatal(err)
				}
				select {
				case <-s.Opened():
				case <-s.Done():
				}
				return s, s.Err()
			}
			var first *stream.Stream
			for _, want := range []int{2, 1, 1} {
				var err error
				if c, _, err = circuit.Dial(l, hops, nil, nil, nil); err != nil {
					t.Fatal(err)
				}
				for range want {
					if first, err = ask(); err != nil {
						t.Fatal(err)
					}
				}
				var reset *stream.Error
				if _, err := ask(); !errors.As(err, &reset) || reset.Reason != cell.ExitFull {
					t.Errorf("beyond %d: %v, want %v", want, err, cell.ExitFull)
				}
			}
			first.Close()
			for deadline := time.Now().Add(5 * time.Second); ; {
				if _, err := ask(); err == nil {
					return
				}
				if time.Now().After(deadline) {
					t.Fatal("there was no room after one had ended")
				}
			}
		})
	}
}

// All links share a node's circuits. Who holds many is refused before others
// are, and gets more when some have ended.
func TestCircuitsAreShared(t *testing.T) {
	n := testnet.Start(t, 2)
	n.Nodes[0].LimitCircuits(8)
	dial := func(l *link.Link, hops []circuit.Hop) (*circuit.Circuit, error) {
		t.Helper()
		c, _, err := circuit.Dial(l, hops, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-c.Built():
			return c, nil
		case <-c.Done():
			return c, c.Err()
		}
	}
	var greedy *link.Link
	var hops []circuit.Hop
	var held []*circuit.Circuit
	for _, want := range []int{4, 2, 1} {
		greedy, hops = n.Route(t, 0)
		for got := 0; ; got++ {
			c, err := dial(greedy, hops)
			if err == nil && got < want {
				held = append(held, c)
				continue
			}
			var ended *circuit.Error
			if got != want || !errors.As(err, &ended) || ended.Reason != cell.Busy {
				t.Fatalf("after %d circuits: %v, want %q after %d", got, err, cell.Busy, want)
			}
			break
		}
	}
	for _, c := range held {
		c.Close()
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		if _, err := dial(greedy, hops); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("there was no room after the others had ended")
		}
	}
}
