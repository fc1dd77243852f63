package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"safing/internal/command"
	"safing/internal/netns"
)

// firewall measures new connections a second from a guarded group against the
// same without Portmaster, in a network namespace of its own.
func (c *benchCommand) firewall(ctx context.Context, out command.IO) error {
	if err := netns.Available(); err != nil {
		return err
	}
	w, err := c.open(out)
	if err != nil {
		return err
	}
	defer w.remove()
	ns, err := netns.New()
	if err != nil {
		return err
	}
	defer ns.Close()
	b := &firewallBench{w: w, ns: ns}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer b.clean()
	return b.run(ctx, c, out)
}

type firewallBench struct {
	w           *world
	ns          *netns.Namespace
	groups      [2]string // without and with Portmaster
	listener    net.Listener
	destination string
}

// prepare makes both groups, the destination, and Portmaster with a profile
// that permits everything.
func (b *firewallBench) prepare(ctx context.Context) error {
	group, err := guardedGroup(b.w.dir)
	if err != nil {
		return err
	}
	b.groups = [2]string{group + "-none", group + "-hook"}
	for _, g := range b.groups {
		if err := makeCgroup(g); err != nil {
			return err
		}
	}
	state := filepath.Join(b.w.dir, "portmaster")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return err
	}
	config := "default = \"permit\"\n\n[resolver]\nupstreams = [\"udp://127.0.0.1:9\"]\n"
	if err := os.WriteFile(filepath.Join(state, "portmaster.toml"), []byte(config), 0o600); err != nil {
		return err
	}
	return b.ns.Do(func() error {
		b.listener, err = net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		b.destination = b.listener.Addr().String()
		go closeAll(b.listener)
		_, err = b.w.start(ctx, "portmaster", "portmaster", "portmaster", "run",
			"--cgroup", b.groups[1], "--state", state, "--listen", "127.0.0.1:0")
		return err
	})
}

func (b *firewallBench) clean() {
	if b.listener != nil {
		b.listener.Close()
	}
	for _, g := range b.groups {
		if err := removeCgroup(g); err != nil {
			fmt.Fprintln(b.w.out, err)
		}
	}
}

// closeAll accepts connections and closes them.
func closeAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			c.Close()
		}
	}
}

func (b *firewallBench) run(ctx context.Context, c *benchCommand, out command.IO) error {
	var all []*series
	var steps []func() error
	for _, workers := range []int{1, 64} {
		var base *series
		for i, name := range []string{"no firewall", "Portmaster, known verdict, with history"} {
			s := &series{what: fmt.Sprintf("%s, %d clients", name, workers), unit: "connections/s", of: base}
			if base == nil {
				base = s
			}
			all = append(all, s)
			steps = append(steps, func() error { return b.measure(ctx, s, b.groups[i], workers, c.Window) })
		}
	}
	for round := range c.Rounds {
		c.progress(out, "firewall", round)
		for i := range steps {
			if err := steps[(i+round)%len(steps)](); err != nil {
				return err
			}
		}
	}
	return table(out.Out, "New connections with Portmaster's hooks", all)
}

// measure runs the clients in the group.
func (b *firewallBench) measure(ctx context.Context, s *series, group string, workers int, window time.Duration) error {
	g, err := os.Open(group)
	if err != nil {
		return err
	}
	defer g.Close()
	var printed []byte
	err = b.ns.Do(func() error {
		cmd := exec.CommandContext(ctx, "/proc/self/exe", "connect",
			"--workers", strconv.Itoa(workers), "--window", window.String(), b.destination)
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(g.Fd()), Pdeathsig: syscall.SIGKILL}
		cmd.Stderr = os.Stderr
		printed, err = cmd.Output()
		return err
	})
	if err != nil {
		return fmt.Errorf("open connections in %s: %w", group, err)
	}
	var rate float64
	if err := json.Unmarshal(printed, &rate); err != nil {
		return err
	}
	s.add(rate)
	return nil
}

type connectCommand struct {
	Workers int           `default:"1"`
	Window  time.Duration `default:"1s"`
	Address string        `arg:""`
}

// Run opens and resets connections with blocking system calls, each worker on
// a thread of its own, and prints how many it made in a second.
func (c *connectCommand) Run(_ context.Context, io command.IO) error {
	to, err := netip.ParseAddrPort(c.Address)
	if err != nil {
		return err
	}
	var count, failed atomic.Int64
	var stop atomic.Bool
	var workers sync.WaitGroup
	start := time.Now()
	for range c.Workers {
		workers.Go(func() {
			runtime.LockOSThread()
			for !stop.Load() {
				if connect(to) == nil {
					count.Add(1)
				} else {
					failed.Add(1)
				}
			}
		})
	}
	time.Sleep(c.Window)
	stop.Store(true)
	workers.Wait()
	took := time.Since(start)
	if n := failed.Load(); n > 0 {
		return fmt.Errorf("%d of %d connections failed", n, n+count.Load())
	}
	return json.NewEncoder(io.Out).Encode(float64(count.Load()) / took.Seconds())
}

// connect opens a connection, waits until the server closes it, so that no
// more than one of a worker is open, and resets it, so that no port waits.
func connect(to netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return err
	}
	_, err = unix.Read(fd, make([]byte, 1))
	return err
}
