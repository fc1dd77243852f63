package node_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"safing/netmap"
	"safing/netmap/netmaptest"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/link"
	"safing/port17/node"
)

// A lines is a log that can be read while others write it.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) await(t *testing.T, text string) string {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; <-time.After(time.Millisecond) {
		l.mu.Lock()
		log := l.b.String()
		l.mu.Unlock()
		if strings.Contains(log, text) {
			return log
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q is not in the log:\n%s", text, log)
		}
	}
}

// startLogged starts a node that logs all it can.
func startLogged(t *testing.T, log *lines, rules ...string) *node.Node {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := netmap.ParseExitPolicy(rules)
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), node.Config{
		Identity: key, Network: netmaptest.Silent(), Listen: []string{"127.0.0.1:0"},
		Name: "n", Owner: "o", Exit: policy, State: t.TempDir(),
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	for n.Public().Keys == nil {
		<-time.After(time.Millisecond)
	}
	return n
}

// linkTo makes a link to the node from an address of the client's own.
func linkTo(t *testing.T, n *node.Node, conn net.Conn) (*link.Link, circuit.Hop) {
	t.Helper()
	to, err := n.Public().Recipient(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l, err := link.Initiate(conn, n.ID(), to, link.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		<-l.Done()
	})
	return l, circuit.Hop{Node: n.Public(), Recipient: to}
}

// Where an exit connects to for others is logged at no level, whatever becomes
// of it.
func TestLogsNoDestination(t *testing.T) {
	var log lines
	n := startLogged(t, &log, "reject 127.0.0.66:*", "accept 127.0.0.0/8:*")
	conn, err := net.Dial("tcp", n.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l, hop := linkTo(t, n, conn)
	c, _, err := circuit.Dial(l, []circuit.Hop{hop}, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	server, _ := echo(t)
	for _, to := range []cell.Target{
		target(server),
		target(netip.MustParseAddrPort("127.0.0.77:1")),  // refuses
		target(netip.MustParseAddrPort("127.0.0.66:7")),  // against the policy
		{Host: "secret-name.invalid", Port: 4711},        // does not exist
		target(netip.MustParseAddrPort("192.0.2.99:25")), // no way there
	} {
		s, err := c.Open(to, []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		s.Read(make([]byte, 1))
		s.Reset(cell.Finished)
	}
	udp, _ := echoUDP(t, "127.0.0.1")
	s, err := c.Open(cell.Target{UDP: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := use(t, s)
	sendTo(t, d, cell.Target{Host: "secret-name.invalid", Port: 4711}, []byte("x"))
	sendTo(t, d, target(udp), []byte("x"))
	wantFrom(t, d, udp, []byte("x"))
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
	got := log.await(t, "link ended")
	for _, secret := range []string{
		"secret-name", "127.0.0.77", "127.0.0.66", "192.0.2.99", "4711",
		fmt.Sprint(":", server.Port()), fmt.Sprint(":", udp.Port()),
	} {
		if strings.Contains(got, secret) {
			t.Errorf("the log names a destination, %q:\n%s", secret, got)
		}
	}
}

// Who uses a node is logged at no level, however their connections end.
func TestLogsNoUser(t *testing.T) {
	var log lines
	n := startLogged(t, &log)
	connect := func() *net.TCPConn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 99)}}
		conn, err := d.Dial("tcp", n.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return conn.(*net.TCPConn)
	}
	abort := func(conn *net.TCPConn) {
		conn.SetLinger(0)
		conn.Close()
	}
	abort(connect())
	log.await(t, "a link was refused")

	conn := connect()
	l, _ := linkTo(t, n, conn)
	for l.RTT() == 0 {
		<-time.After(time.Millisecond)
	}
	abort(conn)
	<-l.Done()
	if got := log.await(t, "link ended"); strings.Contains(got, "127.0.0.99") {
		t.Errorf("the log names a user:\n%s", got)
	}
}
