package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	startLimit = time.Minute      // for a program to say that it is ready
	stopLimit  = 10 * time.Second // for a program to end after it was asked to
	logTail    = 600              // bytes of a failed program's log to show
)

// A process is one running program of the lab.
type process struct {
	role, name string
	host       *host // nil if it runs beside the lab
	site       *site // of a node
	cmd        *exec.Cmd
	log        string            // path of the file with its log
	ready      map[string]string // what it said when it was ready
	ended      chan struct{}     // closed once it has ended
	err        error             // how it ended; read after ended is closed
}

// start runs one of the project's programs, on a host if there is one, and
// waits until it prints its ready line. Its log goes to LOGS/NAME.log, behind
// that of an earlier one.
func start(ctx context.Context, h *host, role, name, logs, program string, args ...string) (*process, error) {
	path, err := programPath(program)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(logs, 0o700); err != nil {
		return nil, err
	}
	p := &process{
		role: role, name: name, host: h,
		cmd:   exec.Command(path, args...),
		log:   filepath.Join(logs, name+".log"),
		ended: make(chan struct{}),
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	// A group of its own: Ctrl-C reaches the lab alone, which stops the
	// programs in order. Should the lab be killed, the kernel stops them.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	p.cmd.Stderr = log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := h.do(p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := p.awaitReady(ctx, out); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// awaitReady waits for the line `ready key=value …` and then drains out until
// the program ends.
func (p *process) awaitReady(ctx context.Context, out io.Reader) error {
	ready := make(chan map[string]string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if values, ok := parseReady(lines.Text()); ok {
				ready <- values
				break
			}
		}
		io.Copy(io.Discard, out) //nolint:errcheck // the pipe ends with the program
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	select {
	case p.ready = <-ready:
		return nil
	case <-p.ended:
		select {
		case p.ready = <-ready: // it was ready, and ended at once
			return nil
		default:
		}
		return fmt.Errorf("%s ended before it was ready: %s", p.name, p.lastWords())
	case <-limit.C:
		return fmt.Errorf("%s was not ready within %v; its log is %s", p.name, startLimit, p.log)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// parseReady reads `ready key=value key=value`.
func parseReady(line string) (map[string]string, bool) {
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "ready" {
		return nil, false
	}
	values := make(map[string]string)
	for _, w := range words[1:] {
		if key, value, ok := strings.Cut(w, "="); ok {
			values[key] = value
		}
	}
	return values, true
}

// lastWords is the end of the program's log: its error message, if it had one.
func (p *process) lastWords() string {
	b, err := os.ReadFile(p.log)
	if err != nil || len(strings.TrimSpace(string(b))) == 0 {
		return fmt.Sprint(p.err)
	}
	if len(b) > logTail {
		b = b[len(b)-logTail:]
	}
	return strings.TrimSpace(string(b))
}

// stop asks the program to end, and ends it if it does not.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-p.ended:
	case <-limit.C:
		p.cmd.Process.Kill() //nolint:errcheck // it may have ended
		<-p.ended
	}
}

// programPath finds one of the project's programs: beside this one, or in PATH.
func programPath(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	beside := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	path, err := exec.LookPath(name)
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("%s is neither in %s nor in PATH: run `make build` first", name, filepath.Dir(self))
	}
	return path, err
}
