package portmaster

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// longestSocket is how long the path of a unix socket may be (unix(7)).
const longestSocket = 107

// listenPage opens the page's port. Only this machine may reach it.
func listenPage(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: write an address and a port, such as 127.0.0.1:8117", address)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("listen on %s: the page is for this machine alone: choose a loopback address such as 127.0.0.1:8117", address)
	}
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("another program listens on %s: choose another address with --listen, or 127.0.0.1:0 for any free port", address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this machine has no address %s: choose another with --listen", host)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return l, nil
}

// listenSocket opens the socket of the command line. The caller holds the
// state folder, so a socket that is there belongs to a daemon that is gone.
func listenSocket(path string) (net.Listener, error) {
	if len(path) > longestSocket {
		return nil, fmt.Errorf("%s is too long for a socket, which has at most %d characters: choose a shorter folder with --state", path, longestSocket)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replace the old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	// Nobody can have come in before this: the folder is closed to others.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("close the socket to others: %w", err)
	}
	return l, nil
}

// newHTTPServer has limits for everything but the length of answers: streams
// go on, with limits of their own.
func newHTTPServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}
}

// claimDefault points the well-known path at this daemon's socket, unless
// another daemon answers there. release undoes it.
func claimDefault(path, socket string) (release func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return func() {}, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	fresh := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Symlink(socket, fresh); err != nil {
		return nil, err
	}
	if err := os.Rename(fresh, path); err != nil {
		os.Remove(fresh) //nolint:errcheck // the first error counts
		return nil, err
	}
	return func() {
		if to, err := os.Readlink(path); err == nil && to == socket {
			os.Remove(path) //nolint:errcheck // a dangling link is replaced by the next daemon
		}
	}, nil
}
