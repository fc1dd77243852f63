package client_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/client"
	"safing/port17/node"
	"safing/port17/testnet"
)

// A silent is a destination that answers nothing, and keeps what it was sent.
type silent struct {
	addr netip.AddrPort
	got  chan struct{} // a token for each that has sent something

	mu   sync.Mutex
	sent []string
	from []netip.Addr
}

func startSilent(t testing.TB) *silent {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &silent{addr: l.Addr().(*net.TCPAddr).AddrPort(), got: make(chan struct{}, 100)}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(func() { l.Close() })
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { s.serve(conn) })
		}
	})
	return s
}

func (s *silent) serve(conn net.Conn) {
	defer conn.Close()
	s.mu.Lock()
	s.from = append(s.from, conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())
	s.mu.Unlock()
	b := make([]byte, 100)
	for {
		n, err := conn.Read(b)
		if n > 0 {
			s.mu.Lock()
			s.sent = append(s.sent, string(b[:n]))
			s.mu.Unlock()
			s.got <- struct{}{}
		}
		if err != nil {
			return
		}
	}
}

// await returns when something more was sent, which is to come over conn.
func (s *silent) await(t testing.TB, conn *client.Conn) {
	t.Helper()
	select {
	case <-s.got:
	case <-time.After(10 * time.Second):
		conn.SetReadDeadline(time.Now().Add(time.Second))
		_, err := conn.Read(make([]byte, 1))
		t.Fatalf("nothing was sent through %v: %v", conn.Route(), err)
	}
}

// want checks what was sent, and that it came from nodes alone.
func (s *silent) want(t testing.TB, n *testnet.Network, sent ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.sent, sent) {
		t.Errorf("the destination got %q, want %q", s.sent, sent)
	}
	for _, from := range s.from {
		if !slices.ContainsFunc(n.Nodes, func(n *node.Node) bool { return n.Addr().Addr() == from }) {
			t.Errorf("the destination was connected from %s, which is no node", from)
		}
	}
}

func kill(t testing.TB, n *testnet.Network, id netmap.NodeID) {
	t.Helper()
	for _, node := range n.Nodes {
		if node.ID() == id {
			node.Close()
			return
		}
	}
	t.Fatalf("no node %s", id.Short())
}

// broken checks that an error names a broken route.
func broken(t testing.TB, err error) {
	t.Helper()
	var ended *circuit.Error
	if !errors.As(err, &ended) {
		t.Errorf("the connection ended with %v, want the circuit's error", err)
	}
}

// Whichever node dies while an answer is awaited: the error says that the route
// broke, nothing is sent a second time or another way, and the next connection
// does not pass the node.
func TestBreakAfterRequest(t *testing.T) {
	for hop := range 3 {
		n := testnet.Start(t, 7)
		c := start(t, n)
		to := startSilent(t)
		conn := dial(t, c, client.Request{Addr: to.addr})
		if _, err := io.WriteString(conn, "request"); err != nil {
			t.Fatal(err)
		}
		to.await(t, conn)
		dead := conn.Route()[hop].ID
		kill(t, n, dead)
		_, err := conn.Read(make([]byte, 1))
		broken(t, err)
		next := dial(t, c, client.Request{Addr: to.addr})
		if slices.ContainsFunc(next.Route(), func(h client.HopInfo) bool { return h.ID == dead }) {
			t.Errorf("the next connection passes node %d, which died", hop+1)
		}
		if _, err := io.WriteString(next, "next"); err != nil {
			t.Fatal(err)
		}
		to.await(t, next)
		to.want(t, n, "request", "next")
	}
}

// A connection whose route is broken before anything was sent or acknowledged
// is not tried another way either.
func TestBreakBeforeRequest(t *testing.T) {
	for hop := range 3 {
		n := testnet.Start(t, 7)
		c := start(t, n)
		to := startSilent(t)
		conn := dial(t, c, client.Request{Addr: to.addr})
		kill(t, n, conn.Route()[hop].ID)
		io.WriteString(conn, "request")
		_, err := conn.Read(make([]byte, 1))
		broken(t, err)
		next := dial(t, c, client.Request{Addr: to.addr})
		if slices.Contains(next.Route(), conn.Route()[hop]) {
			t.Errorf("the next connection passes node %d, which died", hop+1)
		}
		if _, err := io.WriteString(next, "next"); err != nil {
			t.Fatal(err)
		}
		to.await(t, next)
		to.want(t, n, "next")
	}
}

// What a destination does is told as that.
func TestDestinationFails(t *testing.T) {
	n := testnet.Start(t, 6)
	c := start(t, n)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	resets, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := resets.Accept()
		if err != nil {
			return
		}
		conn.Read(make([]byte, 1))
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}()
	t.Cleanup(func() {
		resets.Close()
		<-done
	})
	closed.Close()
	for _, test := range []struct {
		to   net.Listener
		want cell.Reason
	}{{closed, cell.Refused}, {resets, cell.ConnectionReset}} {
		conn := dial(t, c, client.Request{Addr: test.to.Addr().(*net.TCPAddr).AddrPort()})
		io.WriteString(conn, "request")
		_, err := conn.Read(make([]byte, 1))
		var ended *stream.Error
		if !errors.As(err, &ended) || ended.Reason != test.want {
			t.Errorf("the connection ended with %v, want %q", err, test.want)
		}
	}
	if v := inUse(c); len(v) != 1 {
		t.Errorf("%d circuits: what a destination does ends none", len(v))
	}
	start := time.Now()
	conn := dial(t, c, client.Request{Addr: startSilent(t).addr})
	conn.SetReadDeadline(start.Add(-time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || !err.(net.Error).Timeout() {
		t.Errorf("after the deadline: %v", err)
	}
}
