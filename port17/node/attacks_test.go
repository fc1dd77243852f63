package node_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/link"
	"safing/port17/node"
	"safing/port17/testnet"
)

func flip(i, offset int) mangler {
	return func(n int, p []byte) [][]byte {
		if n == i {
			p[offset] ^= 1
		}
		return [][]byte{p}
	}
}

// instead does something to payload i, and gets those before it too.
func instead(i int, f func(before [][]byte, p []byte) [][]byte) mangler {
	var before [][]byte
	return func(n int, p []byte) [][]byte {
		if n != i {
			before = append(before, bytes.Clone(p))
			return [][]byte{p}
		}
		return f(before, p)
	}
}

// hold keeps count payloads from number i on, and then lets f say in what order
// they go.
func hold(i, count int, f func([][]byte) [][]byte) mangler {
	var held [][]byte
	return func(n int, p []byte) [][]byte {
		if n < i || n >= i+count {
			return [][]byte{p}
		}
		if held = append(held, bytes.Clone(p)); len(held) < count {
			return nil
		}
		return f(held)
	}
}

// attacks are what a node on the way does to the cells of one direction. All
// but the last two are noticed by the next who opens a layer.
var attacks = []struct {
	name     string
	mangle   func() mangler
	harmless bool
}{
	{"first bit", func() mangler { return flip(5, 0) }, false},
	{"a bit inside", func() mangler { return flip(5, 2000) }, false},
	{"first cell", func() mangler { return flip(0, 100) }, false},
	{"cut short", func() mangler {
		return instead(5, func(_ [][]byte, p []byte) [][]byte {
			clear(p[1000:])
			return [][]byte{p}
		})
	}, false},
	{"dropped", func() mangler { return instead(5, func([][]byte, []byte) [][]byte { return nil }) }, false},
	{"twice", func() mangler { return instead(5, func(_ [][]byte, p []byte) [][]byte { return [][]byte{p, p} }) }, false},
	{"replayed", func() mangler {
		return instead(5, func(b [][]byte, p []byte) [][]byte { return [][]byte{p, b[0]} })
	}, false},
	{"replayed instead", func() mangler {
		return instead(5, func(b [][]byte, _ []byte) [][]byte { return [][]byte{b[1]} })
	}, false},
	{"injected", func() mangler {
		return instead(5, func(_ [][]byte, p []byte) [][]byte {
			made := make([]byte, cell.PayloadSize)
			rand.Read(made)
			return [][]byte{made, p}
		})
	}, false},
	{"swapped", func() mangler { return hold(5, 2, func(h [][]byte) [][]byte { return [][]byte{h[1], h[0]} }) }, false},
	{"delayed", func() mangler { return hold(5, 10, func(h [][]byte) [][]byte { return h }) }, true},
	{"mark behind the layers", func() mangler { return flip(5, cell.PayloadSize-1) }, true},
}

// Whatever a node does to cells is noticed by whoever opens their next layer,
// before it takes anything from them: the circuit ends there, with the reason,
// and no stream gets other bytes than were sent, at either end.
func TestHostileRelay(t *testing.T) {
	n := testnet.Start(t, 3)
	h := join(t, n)
	l0, honest := n.Route(t, 0, 1, 2)
	entry, err := link.Dial(t.Context(), h.hop().Node, link.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		entry.Close()
		<-entry.Done()
	})
	for _, place := range []struct {
		name    string
		l       *link.Link
		hops    []circuit.Hop
		forward *node.Node // who notices what goes there
		at      int        // and where the origin is told so
		back    int        // where it notices itself
	}{
		{"entry", entry, []circuit.Hop{h.hop(), honest[1], honest[2]}, n.Nodes[1], 1, 0},
		{"middle", l0, []circuit.Hop{honest[0], h.hop(), honest[2]}, n.Nodes[2], 2, 1},
		{"exit", l0, []circuit.Hop{honest[0], honest[1], h.hop()}, nil, 0, 2},
	} {
		for _, attack := range attacks {
			if place.forward != nil {
				t.Run(place.name+"/forward/"+attack.name, func(t *testing.T) {
					h.do(deeds{forward: attack.mangle()})
					was := place.forward.Ended().Circuits[cell.Altered]
					err := exchange(t, place.l, place.hops)
					wantAltered(t, err, attack.harmless, place.at)
					if !attack.harmless {
						await(t, place.forward, "the next node", func(e node.Ended) bool { return e.Circuits[cell.Altered] > was })
					}
				})
			}
			if attack.harmless && place.name != "exit" && attack.name != "delayed" {
				continue // backward, the layers of a first hop may fill the payload
			}
			t.Run(place.name+"/backward/"+attack.name, func(t *testing.T) {
				h.do(deeds{backward: attack.mangle()})
				wantAltered(t, exchange(t, place.l, place.hops), attack.harmless, place.back)
			})
		}
	}
	for i, x := range n.Nodes {
		settle(t, x, i)
	}
}

func wantAltered(t *testing.T, err error, harmless bool, hop int) {
	t.Helper()
	var ended *circuit.Error
	switch {
	case harmless && err != nil:
		t.Errorf("the circuit: %v", err)
	case !harmless && (!errors.As(err, &ended) || ended.Reason != cell.Altered || ended.Hop != hop):
		t.Errorf("the circuit: %v, want that node %d, or one before it, altered a cell", err, hop+1)
	}
}

// settle waits until a node has given back what circuits had.
func settle(t *testing.T, n *node.Node, i int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); n.CellsUsed() != 0; {
		if time.Now().After(deadline) {
			t.Fatalf("node %d holds %d cells", i, n.CellsUsed())
		}
		<-time.After(time.Millisecond)
	}
}

// exchange has 200 kB go there and come back, and returns why the circuit has
// ended, if it has. What has arrived at either end was sent.
func exchange(t *testing.T, l *link.Link, hops []circuit.Hop) error {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	data := make([]byte, 200_000)
	rand.Read(data)
	arrived := make(chan []byte, 1)
	go func() {
		var got bytes.Buffer
		defer func() { arrived <- got.Bytes() }()
		conn, err := server.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.Copy(conn, io.TeeReader(conn, &got)) //nolint:errcheck // the origin tells
	}()
	to := target(server.Addr().(*net.TCPAddr).AddrPort())
	c, s, err := circuit.Dial(l, hops, &to, data[:100], nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		s.Write(data[100:]) //nolint:errcheck // the reader tells
		s.CloseWrite()
	}()
	s.SetDeadline(time.Now().Add(10 * time.Second))
	got, err := io.ReadAll(s)
	c.Close()
	server.Close()
	if there := <-arrived; !bytes.HasPrefix(data, there) {
		t.Error("the destination got other bytes than were sent")
	}
	if !bytes.HasPrefix(data, got) || err == nil && len(got) < len(data) {
		t.Errorf("the origin got %d of %d bytes, or others than were sent", len(got), len(data))
	}
	return err
}

// What a node does to the handshakes of others is noticed, too.
func TestHostileHandshake(t *testing.T) {
	n := testnet.Start(t, 3)
	h := join(t, n)
	l, honest := n.Route(t, 0, 2)
	hops := []circuit.Hop{honest[0], h.hop(), honest[1]}
	exit := n.Nodes[2]
	for _, test := range []struct {
		name   string
		deeds  deeds
		reason cell.Reason
		hop    int
		exit   cell.Reason // that the exit counts; 0 for none
	}{
		{"hello altered", deeds{create: func(b []byte) [][]byte {
			b[1500] ^= 1
			return [][]byte{b}
		}}, cell.BadHello, 2, cell.BadHello},
		{"hello for another prekey", deeds{create: func(b []byte) [][]byte {
			b[6] ^= 1
			return [][]byte{b}
		}}, cell.UnknownPrekey, 2, 0}, // the origin may end it first
		{"hello of another suite", deeds{create: func(b []byte) [][]byte {
			b[3] ^= 1
			return [][]byte{b}
		}}, cell.BadHello, 2, cell.BadHello},
		{"hello longer than its burst", deeds{create: func(b []byte) [][]byte {
			b[1], b[2] = 255, 255
			return [][]byte{b}
		}}, cell.BadHello, 2, cell.BadHello},
		{"burst of no length", deeds{create: func(b []byte) [][]byte {
			b[0] = 0
			return [][]byte{b}
		}}, cell.Protocol, 2, cell.Protocol},
		{"reply altered", deeds{backward: flip(0, 500)}, cell.Altered, 1, 0},
		{"reply repeated", deeds{backward: instead(0, func(_ [][]byte, p []byte) [][]byte { return [][]byte{p, p} })}, cell.Altered, 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			h.do(test.deeds)
			was := exit.Ended().Circuits[test.exit]
			err := exchange(t, l, hops)
			var ended *circuit.Error
			if !errors.As(err, &ended) || ended.Reason != test.reason || ended.Hop != test.hop {
				t.Errorf("the circuit: %v, want %q at node %d", err, test.reason, test.hop+1)
			}
			if test.exit != 0 {
				await(t, exit, "the exit", func(e node.Ended) bool { return e.Circuits[test.exit] > was })
			}
		})
	}
	settle(t, n.Nodes[0], 0)
}

// A hello that comes twice is answered once. What is sent behind its copy comes
// before the copy was looked at, or after it, or not at all.
func TestReplayedHello(t *testing.T) {
	n := testnet.Start(t, 3)
	h := join(t, n)
	l, honest := n.Route(t, 0, 2)
	h.do(deeds{create: func(b []byte) [][]byte { return [][]byte{b, b} }})
	err := exchange(t, l, []circuit.Hop{honest[0], h.hop(), honest[1]})
	var ended *circuit.Error
	if err != nil && (!errors.As(err, &ended) || ended.Hop != 2 || ended.Reason != cell.Replayed && ended.Reason != cell.Protocol) {
		t.Errorf("the circuit: %v, want one that node 3 has ended", err)
	}
	await(t, n.Nodes[2], "the exit", func(e node.Ended) bool {
		return e.Circuits[cell.Replayed]+e.Circuits[cell.Protocol]+e.Circuits[cell.Finished] > 0
	})
	settle(t, n.Nodes[0], 0)
}

// An exit that does what it may not ends the circuit, and with it no other.
func TestHostileExit(t *testing.T) {
	n := testnet.Start(t, 2)
	h := join(t, n)
	l, honest := n.Route(t, 0)
	hops := []circuit.Hop{honest[0], h.hop()}
	h.do(deeds{})
	other, _, err := circuit.Dial(l, hops, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-other.Built()
	some := make([]byte, 3000)
	data := func(stream uint32, b []byte) cell.Frame {
		return cell.Frame{Type: cell.DataFrame, Stream: stream, Data: b}
	}
	for _, test := range []struct {
		name  string
		serve func(*captive)
	}{
		{"opens a stream", func(c *captive) {
			c.frames(cell.Frame{Type: cell.OpenFrame, Stream: 2, Data: cell.Target{Host: "example.com", Port: 1}.Append(nil)})
		}},
		{"data of a stream that never was", func(c *captive) { c.frames(data(7, []byte("x"))) }},
		{"data of stream 0", func(c *captive) { c.frames(data(0, []byte("x"))) }},
		{"data after the end", func(c *captive) { c.frames(cell.Frame{Type: cell.EndFrame, Stream: 1}, data(1, []byte("x"))) }},
		{"ended twice", func(c *captive) {
			c.frames(cell.Frame{Type: cell.EndFrame, Stream: 1}, cell.Frame{Type: cell.EndFrame, Stream: 1})
		}},
		{"more than the window allows", func(c *captive) {
			for range 300 << 10 / len(some) {
				c.frames(data(1, some))
			}
		}},
		{"acknowledges what was not sent", func(c *captive) { c.frames(cell.Frame{Type: cell.AckFrame, Value: 1 << 40}) }},
		{"unknown frame", func(c *captive) { c.frames(cell.Frame{Type: 99, Stream: 1}) }},
		{"frame cut short", func(c *captive) {
			payload := make([]byte, cell.PayloadSize)
			payload[1], payload[6], payload[7] = byte(cell.DataFrame), 255, 255
			c.seal(payload, 2)
		}},
		{"a layer to pass on", func(c *captive) { c.seal(make([]byte, cell.PayloadSize), 1) }},
		{"an unknown layer", func(c *captive) { c.seal(make([]byte, cell.PayloadSize), 50) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			h.do(deeds{serve: test.serve})
			to := cell.Target{Host: "example.com", Port: 80}
			c, _, err := circuit.Dial(l, hops, &to, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			select {
			case <-c.Done():
			case <-time.After(5 * time.Second):
				t.Fatal("the circuit lives on")
			}
			var ended *circuit.Error
			if !errors.As(c.Err(), &ended) || ended.Reason != cell.Protocol || ended.Hop != 1 {
				t.Errorf("the circuit: %v, want %q at node 2", c.Err(), cell.Protocol)
			}
		})
	}
	for name, serve := range map[string]func(*captive){
		"window that shrinks": func(c *captive) {
			c.frames(cell.Frame{Type: cell.WindowFrame, Stream: 1, Value: 1 << 63}, cell.Frame{Type: cell.WindowFrame, Stream: 1, Value: 1})
		},
		"ends and resets again and again": func(c *captive) {
			for range 1000 {
				c.frames(cell.Frame{Type: cell.ResetFrame, Stream: 1, Reason: 200}, cell.Frame{Type: cell.StopFrame, Stream: 1})
			}
		},
		"padding": func(c *captive) {
			for range 1000 {
				c.seal(make([]byte, cell.PayloadSize), 3)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h.do(deeds{serve: serve})
			to := cell.Target{Host: "example.com", Port: 80}
			c, _, err := circuit.Dial(l, hops, &to, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			<-c.Built()
			s, err := c.Open(to, []byte("still there"))
			if err != nil {
				t.Fatal(err)
			}
			s.CloseWrite()
			if got, err := io.ReadAll(s); err != nil || string(got) != "still there" {
				t.Errorf("a stream of the circuit: %q, %v", got, err)
			}
		})
	}
	if err := other.Err(); err != nil {
		t.Errorf("another circuit ended: %v", err)
	}
	other.Close()
	settle(t, n.Nodes[0], 0)
}
