package portmaster

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"safing/portmaster/history"
)

// cookieOf asks the kernel for a connection's cookie.
func cookieOf(t *testing.T, c syscall.Conn) uint64 {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var cookie uint64
	if err := raw.Control(func(fd uintptr) { cookie, err = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_COOKIE) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

func TestRealSocketsAreFoundByTheirCookies(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(make([]byte, 1000)); err != nil || n != 1000 {
		t.Fatal(n, err)
	}
	u, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	all, err := listSockets()
	if err != nil {
		t.Skipf("needs socket diagnosis: %v", err)
	}
	if got, ok := all[cookieOf(t, c.(*net.TCPConn))]; !ok || got.received != 1000 {
		t.Errorf("the TCP socket: %+v, listed %v", got, ok)
	}
	if _, ok := all[cookieOf(t, u.(*net.UDPConn))]; !ok {
		t.Error("the UDP socket is not listed")
	}
}

func TestPermittedConnectionsEndWithTheirSockets(t *testing.T) {
	now := time.Now()
	const stranger = 1 << 23 // above any process ID
	for _, test := range []struct {
		name   string
		cookie uint64
		pid    int
		age    time.Duration
		err    error
		ours   bool
		open   bool
	}{
		{"the socket is there", 7, os.Getpid(), time.Minute, nil, true, true},
		{"it is gone", 8, os.Getpid(), time.Minute, nil, true, false},
		{"it is too young to be missed", 8, os.Getpid(), 0, nil, true, true},
		{"it is in another network namespace", 8, os.Getpid(), time.Minute, nil, false, true},
		{"its process there has ended", 8, stranger, time.Minute, nil, false, false},
		{"the list cannot be had", 8, os.Getpid(), time.Minute, errors.New("busy"), true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := history.NewTable(10, 0)
			key := history.Key{Cookie: test.cookie, Protocol: "tcp", Destination: netip.MustParseAddrPort("192.0.2.1:1")}
			table.Announce(key, history.Connection{Started: now.Add(-test.age), Process: history.Process{PID: test.pid}, Verdict: "permit"})
			s := newSockets(table, slog.New(slog.DiscardHandler))
			s.list = func() (map[uint64]socket, error) { return map[uint64]socket{7: {sent: 5, received: 6}}, test.err }
			s.ours = func(int) bool { return test.ours }
			s.look(now)
			c := table.Snapshot(history.Filter{})[0]
			if open := c.Ended == nil; open != test.open {
				t.Errorf("open %v, want %v", open, test.open)
			}
			if test.cookie == 7 && (c.Sent != 5 || c.Received != 6) {
				t.Errorf("counted %d and %d", c.Sent, c.Received)
			}
		})
	}
}
