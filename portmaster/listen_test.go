package portmaster

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestThePagesPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for address, want := range map[string]string{
		taken.Addr().String(): "another program listens on " + taken.Addr().String() + ": choose another address with --listen",
		"0.0.0.0:0":           "for this machine alone",
		"192.0.2.1:80":        "for this machine alone",
		"example.com:80":      "for this machine alone",
		"127.0.0.1":           "write an address and a port",
	} {
		l, err := listenPage(address)
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", address, err, want)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "127.5.5.5:0", "localhost:0"} {
		l, err := listenPage(address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		l.Close()
	}
}

func TestTheSocketReplacesADeadOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "api.sock")
	for range 2 {
		l, err := listenSocket(path)
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false) // as after a crash
		defer l.Close()
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the socket is open to others: %v, %v", info.Mode(), err)
		}
		l.Close()
	}
	_, err := listenSocket(filepath.Join(t.TempDir(), strings.Repeat("x", 200)))
	if err == nil || !strings.Contains(err.Error(), "choose a shorter folder") {
		t.Errorf("a path that is too long: %v", err)
	}
}

func TestTheWellKnownSocket(t *testing.T) {
	dir := t.TempDir()
	known := filepath.Join(dir, "run", "api.sock")
	open := func(name string) (string, net.Listener) {
		path := filepath.Join(dir, name)
		l, err := listenSocket(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return path, l
	}
	target := func() string { to, _ := os.Readlink(known); return to }
	a, listenerA := open("a")
	releaseA, err := claimDefault(known, a)
	if err != nil || target() != a {
		t.Fatalf("the first daemon: it leads to %q, %v", target(), err)
	}
	b, _ := open("b")
	releaseB, err := claimDefault(known, b)
	if err != nil || target() != a {
		t.Errorf("a second daemon while the first answers: it leads to %q, %v", target(), err)
	}
	releaseB()
	if target() != a {
		t.Error("the second daemon took the first one's away")
	}
	listenerA.Close() // it crashes
	releaseB, err = claimDefault(known, b)
	if err != nil || target() != b {
		t.Errorf("after a crash: it leads to %q, %v", target(), err)
	}
	releaseA()
	if target() != b {
		t.Error("the first daemon took the second one's away")
	}
	releaseB()
	if target() != "" {
		t.Errorf("after the end it still leads to %q", target())
	}
}
