package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// A namespace is a private network namespace, held by one locked thread. What
// is handed to run executes there, so processes started there live in it. It
// vanishes when it is closed and they have ended.
type namespace struct {
	jobs chan func()
}

// newNamespace makes a namespace with nothing but a loopback device.
func newNamespace() (*namespace, error) {
	n := &namespace{jobs: make(chan func())}
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		failed <- unix.Unshare(unix.CLONE_NEWNET)
		for job := range n.jobs {
			job()
		}
	}()
	if err := <-failed; err != nil {
		close(n.jobs)
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	// No link here loses packets, so reno never slows down. Linux allows only it
	// and the machine's default in a namespace, and that may be bbr, which paces.
	if err := n.run(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte("reno"), 0o644)
	}); err != nil {
		n.close()
		return nil, fmt.Errorf("choose TCP's congestion control: %w", err)
	}
	return n, nil
}

func (n *namespace) run(f func() error) error {
	done := make(chan error, 1)
	n.jobs <- func() { done <- f() }
	return <-done
}

// shell runs commands; their words are separated by blanks.
func (n *namespace) shell(commands ...string) error {
	return n.run(func() error {
		for _, c := range commands {
			words := strings.Fields(c)
			if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", c, err, strings.TrimSpace(string(out)))
			}
		}
		return nil
	})
}

func (n *namespace) close() { close(n.jobs) }
