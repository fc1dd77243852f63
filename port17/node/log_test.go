package node_test

import (
	"bytes"
	"crypto/ed25519"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"safing/netmap"
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

// Who uses a node is logged at no level, however their connections end.
func TestLogsNoUser(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	var log lines
	n, err := node.Start(t.Context(), node.Config{
		Identity: key, Network: &netmap.Network{Name: "test", PrivateAddresses: true}, Listen: []string{"127.0.0.1:0"},
		Name: "n", Owner: "o", State: t.TempDir(),
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
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

	for len(n.Descriptor().Prekeys) == 0 {
		<-time.After(time.Millisecond)
	}
	to, err := n.Descriptor().Recipient(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	conn := connect()
	l, err := link.Initiate(conn, n.ID(), to, link.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for l.RTT() == 0 {
		<-time.After(time.Millisecond)
	}
	abort(conn)
	<-l.Done()
	if got := log.await(t, "link ended"); strings.Contains(got, "127.0.0.99") {
		t.Errorf("the log names a user:\n%s", got)
	}
}
