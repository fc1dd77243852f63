package systemd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// States of a program.
const (
	Ready    = "READY=1"    // it serves
	Stopping = "STOPPING=1" // it was told to end, and does
	Alive    = "WATCHDOG=1" // to be said within each Watchdog
)

// Notify sends the state to the service manager, if that wants to know.
func Notify(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	return nil
}

// Watchdog returns within what time the service manager wants to hear that this
// process is alive; 0 means never.
func Watchdog() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	n, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 63)
	if err != nil || n <= 0 || n > int64(24*time.Hour/time.Microsecond) {
		return 0
	}
	return time.Duration(n) * time.Microsecond
}
