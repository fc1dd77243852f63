package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"safing/internal/netns"
)

const (
	startLimit = 2 * time.Minute  // for a program to say that it is ready
	stopLimit  = 10 * time.Second // for a program to end after it was asked to
)

// A process is a running child.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string      // path of the file with its standard error
	lines chan string // of its standard output; closed at its end
	ended chan struct{}
	once  sync.Once
}

// A crew is all children of this program.
type crew struct {
	dir string // where logs go

	mu      sync.Mutex
	closed  bool
	running []*process
	past    time.Duration // CPU time of those that were stopped
}

var errClosed = errors.New("stopped")

// start starts a program in a namespace.
func (c *crew) start(n *netns.Namespace, name, program string, args ...string) (*process, error) {
	p := &process{
		name: name, cmd: exec.Command(program, args...), log: filepath.Join(c.dir, name+".log"),
		lines: make(chan string, 16), ended: make(chan struct{}),
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// A group of its own: Ctrl-C reaches this program alone, which stops its
	// children in order. Should it be killed, the kernel stops them.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	if err := n.Do(p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c.running = append(c.running, p)
	go p.follow(out)
	return p, nil
}

func (p *process) follow(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20) // a load's times are one line
	for lines.Scan() {
		p.lines <- lines.Text()
	}
	close(p.lines)
	p.cmd.Wait() //nolint:errcheck // whoever waits for a line learns that it has ended
	close(p.ended)
}

// stop ends a process that is no longer needed.
func (c *crew) stop(p *process) {
	used := cpuTime(p.cmd.Process.Pid)
	p.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.running, p); i >= 0 {
		c.running = slices.Delete(c.running, i, i+1)
		c.past += used
	}
}

// cpu is the CPU time that this program and all its children have used.
func (c *crew) cpu() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.past + totalCPU(c.running) + cpuTime(os.Getpid())
}

// close ends all, the last started first, and lets no more start.
func (c *crew) close() {
	c.mu.Lock()
	c.closed = true
	all := slices.Clone(c.running)
	c.mu.Unlock()
	for _, p := range slices.Backward(all) {
		p.stop()
	}
}

// stop asks the process to end, and ends it if it does not.
func (p *process) stop() {
	p.once.Do(func() {
		p.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
		limit := time.AfterFunc(stopLimit, func() { p.cmd.Process.Kill() })
		defer limit.Stop()
		for range p.lines { // nobody else reads them any more
		}
		<-p.ended
	})
	<-p.ended
}

// line waits for the next line that the process prints.
func (p *process) line(ctx context.Context, limit time.Duration) (string, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case l, ok := <-p.lines:
		if !ok {
			return "", fmt.Errorf("%s has ended: %s", p.name, p.lastWords())
		}
		return l, nil
	case <-timer.C:
		return "", fmt.Errorf("%s said nothing within %v; its log is %s", p.name, limit, p.log)
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// json reads one line into v.
func (p *process) json(ctx context.Context, limit time.Duration, v any) error {
	l, err := p.line(ctx, limit)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(l), v); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// ready waits for the line "ready key=value …" of Port17's programs.
func (p *process) ready(ctx context.Context) error {
	for {
		l, err := p.line(ctx, startLimit)
		if err != nil || strings.HasPrefix(l, "ready ") {
			return err
		}
	}
}

// lastWords is the end of the process's log.
func (p *process) lastWords() string {
	b, err := os.ReadFile(p.log)
	if err != nil || len(b) == 0 {
		return "without a word"
	}
	return strings.TrimSpace(string(b[max(0, len(b)-600):]))
}
