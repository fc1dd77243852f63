package node_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/node"
	"safing/port17/testnet"
)

// echo sends back what it gets, and notes who has connected.
func echo(t testing.TB) (netip.AddrPort, <-chan netip.AddrPort) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	from := make(chan netip.AddrPort, 1000)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			from <- conn.RemoteAddr().(*net.TCPAddr).AddrPort()
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort(), from
}

func target(a netip.AddrPort) cell.Target { return cell.Target{Addr: a.Addr(), Port: a.Port()} }

func TestCircuit(t *testing.T) {
	n := testnet.Start(t, 5)
	server, from := echo(t)
	for _, nodes := range [][]int{{0, 1, 4}, {2, 3}, {4}, {0, 1, 2, 3}, {0, 1, 2, 3, 4}} {
		l, hops := n.Route(t, nodes...)
		to := target(server)
		c, s, err := circuit.Dial(l, hops, &to, []byte("early"), nil)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, 1<<20)
		rand.Read(data)
		go func() {
			s.Write(data)
			s.CloseWrite()
		}()
		got, err := io.ReadAll(s)
		if err != nil || !bytes.Equal(got, append([]byte("early"), data...)) {
			t.Errorf("route %v: %d bytes came back, %v", nodes, len(got), err)
		}
		if a, exit := <-from, n.Nodes[nodes[len(nodes)-1]].Addr(); a.Addr() != exit.Addr() {
			t.Errorf("route %v: the server saw %s, the exit is %s", nodes, a.Addr(), exit.Addr())
		}
		again, err := c.Open(to, []byte("second stream"))
		if err != nil {
			t.Fatal(err)
		}
		again.CloseWrite()
		if got, err := io.ReadAll(again); err != nil || string(got) != "second stream" {
			t.Errorf("route %v: %q, %v", nodes, got, err)
		}
		<-from
		c.Close()
	}
}

func TestStreamErrors(t *testing.T) {
	n := testnet.Start(t, 4)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := closed.Addr().(*net.TCPAddr).AddrPort()
	closed.Close()
	l, hops := n.Route(t, 0, 1, 3)
	c, _, err := circuit.Dial(l, hops, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		to   cell.Target
		want cell.Reason
	}{
		{target(refusing), cell.Refused},
		{target(netip.MustParseAddrPort("127.0.0.66:80")), cell.Policy},
		{target(netip.MustParseAddrPort("192.168.1.1:80")), cell.Policy},
		{cell.Target{Host: "does-not-exist.invalid", Port: 80}, cell.NoSuchName},
	} {
		s, err := c.Open(test.to, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Read(make([]byte, 1))
		var reset *stream.Error
		if !errors.As(err, &reset) || reset.Reason != test.want {
			t.Errorf("%v: %v, want %q", test.to, err, test.want)
		}
	}
	if c.Err() != nil {
		t.Errorf("the circuit ended with its streams: %v", c.Err())
	}
}

// A node that dies ends the circuit with an error that names it.
func TestNodeDies(t *testing.T) {
	n := testnet.Start(t, 5)
	server, _ := echo(t)
	for want, dead := range []int{0, 1, 4} {
		n := n
		if want < 2 {
			n = testnet.Start(t, 5)
		}
		l, hops := n.Route(t, 0, 1, 4)
		to := target(server)
		c, s, err := circuit.Dial(l, hops, &to, []byte("x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		n.Nodes[dead].Close()
		_, err = s.Read(make([]byte, 1))
		var ended *circuit.Error
		if !errors.As(err, &ended) || ended.Hop != want {
			t.Errorf("after the death of node %d: %v", want+1, err)
		}
		<-c.Done()
	}
}

func TestUnknownNextNode(t *testing.T) {
	n := testnet.Start(t, 4)
	l, hops := n.Route(t, 0, 1, 3)
	hops[1].Node.Descriptor = &netmap.Descriptor{ID: netmap.NodeID{7}}
	c, _, err := circuit.Dial(l, hops, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	var ended *circuit.Error
	if !errors.As(c.Err(), &ended) || ended.Reason != cell.NoLink || ended.Hop != 0 {
		t.Errorf("error %v, want %q at node 1", c.Err(), cell.NoLink)
	}
}

func TestManyStreams(t *testing.T) {
	n := testnet.Start(t, 4)
	server, _ := echo(t)
	l, hops := n.Route(t, 0, 1, 3)
	c, _, err := circuit.Dial(l, hops, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	errs := make(chan error)
	const streams = 40
	for i := range streams {
		go func() {
			data := bytes.Repeat([]byte{byte(i)}, 200_000)
			s, err := c.Open(target(server), data[:1000])
			if err != nil {
				errs <- err
				return
			}
			go func() {
				s.Write(data[1000:])
				s.CloseWrite()
			}()
			got, err := io.ReadAll(s)
			if err == nil && !bytes.Equal(got, data) {
				err = errors.New("other data came back")
			}
			s.Close()
			errs <- err
		}()
	}
	for range streams {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestStartErrors(t *testing.T) {
	n := testnet.Start(t, 2)
	key, err := node.LoadIdentity(filepath.Join(t.TempDir(), "identity"), "")
	if err != nil {
		t.Fatal(err)
	}
	c := node.Config{Identity: key, Network: n.Trust, Name: "x", Owner: "y", State: t.TempDir()}
	for listen, want := range map[string]string{
		n.Nodes[0].Addr().String(): "address already in use",
		"0.0.0.0:0":                "listen on a specific one",
		"":                         "no address to listen on",
	} {
		c.Listen = nil
		if listen != "" {
			c.Listen = []string{listen}
		}
		if _, err := node.Start(context.Background(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("listen on %q: %v, want %q in it", listen, err, want)
		}
	}
}

func TestIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "identity")
	first, err := node.LoadIdentity(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := node.LoadIdentity(path, ""); err != nil || !first.Equal(again) {
		t.Errorf("loaded again: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := node.LoadIdentity(path, ""); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
}

func BenchmarkCircuit(b *testing.B) {
	n := testnet.Start(b, 5)
	server, _ := echo(b)
	l, hops := n.Route(b, 0, 1, 4)
	c, _, err := circuit.Dial(l, hops, nil, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	s, err := c.Open(target(server), nil)
	if err != nil {
		b.Fatal(err)
	}
	data, got := make([]byte, 1<<20), make([]byte, 1<<20)
	b.SetBytes(1 << 20)
	for b.Loop() {
		go s.Write(data)
		if _, err := io.ReadFull(s, got); err != nil {
			b.Fatal(err)
		}
	}
}
