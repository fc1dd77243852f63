//go:build unix

package systemd_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"safing/internal/systemd"
)

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := systemd.Notify(systemd.Ready); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
	path := filepath.Join(t.TempDir(), "notify")
	t.Setenv("NOTIFY_SOCKET", path)
	if err := systemd.Notify(systemd.Ready); err == nil {
		t.Error("the service manager does not listen, and there is no error")
	}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	for _, state := range []string{systemd.Ready, systemd.Alive, systemd.Stopping} {
		if err := systemd.Notify(state); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, err := manager.Read(b)
		if err != nil || string(b[:n]) != state {
			t.Errorf("%q, %v, want %q", b[:n], err, state)
		}
	}
}

func TestWatchdog(t *testing.T) {
	for _, c := range []struct {
		pid, usec string
		want      time.Duration
	}{
		{"", "", 0},
		{"", "30000000", 30 * time.Second},
		{strconv.Itoa(os.Getpid()), "1000", time.Millisecond},
		{"1", "30000000", 0}, // of another process
		{"", "-1", 0},
		{"", "x", 0},
		{"", "9223372036854775807", 0},
	} {
		t.Setenv("WATCHDOG_PID", c.pid)
		t.Setenv("WATCHDOG_USEC", c.usec)
		if got := systemd.Watchdog(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
