package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// A world is what one lab runs: its folder and its processes.
type world struct {
	dir  string // absolute
	lock *os.File
	out  io.Writer // progress, one line each

	mu        sync.Mutex
	processes []*process // in the order in which they started
	hosts     *hosts     // nil if everything runs beside the lab
}

// errRuns means that another lab holds the folder.
var errRuns = errors.New("a lab already runs")

// open takes the folder for this process alone.
func open(dir string, out io.Writer) (*world, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the lab's folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the lab's folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%w in %s: stop it with Ctrl-C there, or use another folder with --state", errRuns, dir)
	}
	return &world{dir: dir, lock: lock, out: out}, nil
}

// openTemporary makes a world in a folder of its own below the lab's, so that
// it can stand beside a lab. It ends with remove.
func openTemporary(state, prefix string, out io.Writer) (*world, error) {
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("make the lab's folder: %w", err)
	}
	dir, err := os.MkdirTemp(state, prefix)
	if err != nil {
		return nil, fmt.Errorf("make a folder in the lab's: %w", err)
	}
	return open(dir, out)
}

// start starts a program as part of the world.
func (w *world) start(ctx context.Context, role, name, program string, args ...string) (*process, error) {
	return w.startOn(ctx, nil, role, name, program, args...)
}

// startOn is start on a host; nil means beside the lab.
func (w *world) startOn(ctx context.Context, h *host, role, name, program string, args ...string) (*process, error) {
	p, err := start(ctx, h, role, name, w.logs(), program, args...)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.processes = append(w.processes, p)
	w.mu.Unlock()
	return p, nil
}

// forget takes a process that has ended out of the world.
func (w *world) forget(p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.processes = slices.DeleteFunc(w.processes, func(q *process) bool { return p == q })
}

// run runs one of the project's programs to its end and returns what it prints.
func (w *world) run(ctx context.Context, program string, args ...string) ([]byte, error) {
	path, err := programPath(program)
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", program, args[0], err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// report prints a line for every process that ends before ctx does.
func (w *world) report(ctx context.Context) {
	var watchers sync.WaitGroup
	for _, p := range w.snapshot() {
		watchers.Go(func() {
			select {
			case <-ctx.Done():
			case <-p.ended:
				fmt.Fprintf(w.out, "%s %s (pid %d) ended: %v\n", p.role, p.name, p.cmd.Process.Pid, p.err)
			}
		})
	}
	watchers.Wait()
}

func (w *world) snapshot() []*process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.processes)
}

// stop stops every process, the last started first, and removes the hosts.
func (w *world) stop() {
	for _, p := range slices.Backward(w.snapshot()) {
		p.stop()
	}
	w.hosts.close()
	w.hosts = nil
}

// close stops every process and gives the folder up.
func (w *world) close() {
	w.stop()
	w.lock.Close()
}

// remove is close, and the folder is gone.
func (w *world) remove() {
	w.close()
	os.RemoveAll(w.dir) //nolint:errcheck // what is left, lab clean removes
}

// freeAddress is a loopback address with a port that was free a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
