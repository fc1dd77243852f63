package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = 30 * time.Second // for anything that must happen

// A lab is `lab up` in a folder of the test's own.
type lab struct {
	t     *testing.T
	dir   string
	line  string // what it printed when it was up
	cmd   *exec.Cmd
	ended chan struct{}
}

// needs skips the test unless it is root in its own namespace and has the
// programs.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	if os.Getenv(insideEnv) == "" {
		t.Skip("needs root: network namespaces and kernel hooks")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("needs %s: install it with `make deps`", p)
		}
	}
}

func bin(name string) string { return filepath.Join(os.Getenv(insideEnv), name) }

// up starts a lab and waits until it says that it is up. The test's end stops
// it.
func up(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, dir: filepath.Join(t.TempDir(), "lab"), ended: make(chan struct{})}
	l.cmd = exec.Command(bin("lab"), "up", "--state", l.dir)
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var stderr bytes.Buffer
	l.cmd.Stderr = &stderr
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make(chan string, 1)
	go func() {
		defer close(l.ended)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			select {
			case first <- lines.Text():
			default:
			}
		}
		l.cmd.Wait() //nolint:errcheck // looked at by who stops it
	}()
	t.Cleanup(func() {
		l.stop()
		if t.Failed() {
			t.Logf("the lab's errors:\n%s", &stderr)
			l.logs()
		}
	})
	select {
	case l.line = <-first:
	case <-l.ended:
		t.Fatalf("lab up ended: %v\n%s", l.cmd.ProcessState, &stderr)
	case <-time.After(patience):
		t.Fatalf("lab up did not say within %v that it is up\n%s", patience, &stderr)
	}
	if !strings.HasPrefix(l.line, "lab is up") {
		t.Fatalf("lab up said %q", l.line)
	}
	return l
}

func (l *lab) stop() {
	l.cmd.Process.Signal(os.Interrupt) //nolint:errcheck // it may have ended
	select {
	case <-l.ended:
	case <-time.After(patience):
		l.cmd.Process.Kill() //nolint:errcheck // it may have ended
		l.t.Errorf("lab up did not stop within %v", patience)
	}
}

// logs shows the end of every program's log.
func (l *lab) logs() {
	files, _ := filepath.Glob(filepath.Join(l.dir, "logs", "*.log"))
	for _, f := range files {
		b, _ := os.ReadFile(f)
		if len(b) > 2000 {
			b = b[len(b)-2000:]
		}
		if len(b) > 0 {
			l.t.Logf("%s:\n%s", filepath.Base(f), b)
		}
	}
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

// run runs a program to its end.
func (l *lab) run(program string, args ...string) result {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.t.Fatalf("%s %s: %v", program, strings.Join(args, " "), err)
	}
	if ctx.Err() != nil {
		l.t.Fatalf("%s %s did not end within %v\n%s", program, strings.Join(args, " "), patience, &errs)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// exec runs a command behind the lab's firewall.
func (l *lab) exec(args ...string) result {
	l.t.Helper()
	return l.run(bin("lab"), append([]string{"exec", "--state", l.dir, "--"}, args...)...)
}

// state is the part of `lab status --json` that the tests read.
type state struct {
	UI     string
	Stamp  string
	Socks  string
	Cgroup string
	Links  struct {
		Delay time.Duration `json:"delay_ns"`
		Loss  float64
		Rate  int64 `json:"rate_bps"`
		Seed  uint64
	}
	Server    struct{ Address, Netns string }
	Processes []struct {
		Role, Name, ID, Owner, Address, Netns string
		PID                                   int
		Running, Exit                         bool
	}
}

func (l *lab) status() state {
	l.t.Helper()
	var s state
	l.json(&s, bin("lab"), "status", "--json", "--state", l.dir)
	return s
}

func (l *lab) pid(role, name string) int {
	l.t.Helper()
	for _, p := range l.status().Processes {
		if p.Role == role && p.Name == name {
			return p.PID
		}
	}
	l.t.Fatalf("the lab runs no %s %s", role, name)
	return 0
}

// connection is an entry of `portmaster connections --json`.
type connection struct {
	ID      int64
	Kind    string
	Process struct {
		PID  int
		Path string
		Args []string
	}
	Destination struct {
		Address string
		Port    uint16
		Domain  string
	}
	Verdict, Reason, Rule, Error string
	Route                        []struct{ ID, Name, Owner, Country string }
}

func (l *lab) connections() []connection {
	l.t.Helper()
	var all []connection
	l.json(&all, bin("portmaster"), "connections", "--json", "--state", filepath.Join(l.dir, "portmaster"))
	return all
}

// connection waits for the entry that is asked for.
func (l *lab) connection(what string, wanted func(connection) bool) connection {
	l.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		all := l.connections()
		for _, c := range all {
			if wanted(c) {
				return c
			}
		}
		if time.Now().After(deadline) {
			b, _ := json.MarshalIndent(all, "", " ")
			l.t.Fatalf("no entry: %s; there are:\n%s", what, b)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// json runs a program and reads what it prints.
func (l *lab) json(v any, program string, args ...string) {
	l.t.Helper()
	r := l.run(program, args...)
	if r.code != 0 {
		l.t.Fatalf("%s %s: exit code %d\n%s", filepath.Base(program), strings.Join(args, " "), r.code, r.stderr)
	}
	if err := json.Unmarshal([]byte(r.stdout), v); err != nil {
		l.t.Fatalf("%s %s: %v in:\n%s", filepath.Base(program), strings.Join(args, " "), err, r.stdout)
	}
}
