package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"safing/internal/netns"
	"safing/portmaster/history"
	"safing/portmaster/kernel"
)

// dial is a guarded program: dial ADDRESS prints what the server there sends.
func dial() {
	c, err := net.DialTimeout("tcp", os.Args[1], 5*time.Second)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer c.Close()
	if _, err := io.Copy(os.Stdout, c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A guarded is a daemon that guards a control group of the test's own.
type guarded struct {
	t      *testing.T
	in     func(func() error) error // does something in the test's network
	cgroup string
	state  string
	self   string // this program, which is both the daemon and what it guards
	daemon *exec.Cmd
	log    bytes.Buffer
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: control groups and programs in the kernel")
	}
	mount, err := kernel.CgroupMount()
	if err != nil {
		t.Skip(err)
	}
	g := &guarded{t: t, in: func(do func() error) error { return do() }, state: t.TempDir(), cgroup: filepath.Join(mount, fmt.Sprintf("portmaster-test-%d", os.Getpid()))}
	if err := os.Mkdir(g.cgroup, 0o755); err != nil {
		t.Skipf("needs a control group: %v", err)
	}
	t.Cleanup(func() { os.Remove(g.cgroup) })
	if g.self, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	g.write("portmaster.toml", "default = \"deny\"\n[resolver]\nupstreams = [\"udp://127.0.0.1:9\"]\n")
	g.write("profiles/dial.toml", fmt.Sprintf("paths = [%q]\ndefault = \"permit\"\nrules = [\n  \"deny 127.0.0.66\",\n  \"tunnel 127.0.0.77\",\n]\n", g.self))
	return g
}

// apart gives the test a network namespace of its own.
func (g *guarded) apart() {
	g.t.Helper()
	if err := netns.Available(); err != nil {
		g.t.Skip(err)
	}
	ns, err := netns.New()
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(ns.Close)
	g.in = ns.Do
}

func (g *guarded) write(name, text string) {
	g.t.Helper()
	path := filepath.Join(g.state, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// start starts the daemon and waits until it is ready.
func (g *guarded) start() {
	g.t.Helper()
	g.daemon = exec.Command(g.self, "run", "--cgroup", g.cgroup, "--state", g.state, "--listen", "127.0.0.1:0")
	g.daemon.Args[0] = "portmaster"
	g.daemon.Stderr = &g.log
	g.t.Cleanup(func() { g.daemon.Process.Kill() }) //nolint:errcheck // it may have ended
	g.daemon.WaitDelay = 10 * time.Second
	out, err := g.daemon.StdoutPipe()
	if err == nil {
		err = g.in(g.daemon.Start)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready ui=http://127.0.0.1:") || !strings.Contains(line, " api="+g.state+"/api.sock") {
		g.t.Fatalf("it is not ready: %q, %v\n%s", line, err, &g.log)
	}
}

// stop ends the daemon with a signal.
func (g *guarded) stop(s os.Signal) {
	g.t.Helper()
	if err := g.daemon.Process.Signal(s); err != nil {
		g.t.Fatal(err)
	}
	err := g.daemon.Wait()
	if errors.Is(err, exec.ErrWaitDelay) {
		g.t.Fatalf("the daemon did not end\n%s", &g.log)
	}
	if s == syscall.SIGTERM && err != nil {
		g.t.Errorf("the daemon ended with %v\n%s", err, &g.log)
	}
}

// run runs this program under a name, guarded or not.
func (g *guarded) run(name string, inside bool, args ...string) (stdout, stderr string, err error) {
	g.t.Helper()
	cmd := exec.Command(g.self, args...)
	cmd.Args[0] = name
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if inside {
		dir, err := os.Open(g.cgroup)
		if err != nil {
			g.t.Fatal(err)
		}
		defer dir.Close()
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	}
	err = g.in(cmd.Run)
	return out.String(), errs.String(), err
}

func (g *guarded) dial(to string) (stdout, stderr string, err error) {
	g.t.Helper()
	return g.run("dial", true, to)
}

// ask runs a command of the program.
func (g *guarded) ask(args ...string) (string, error) {
	g.t.Helper()
	out, errs, err := g.run("portmaster", false, append(args, "--state", g.state)...)
	if err != nil {
		return out, errors.New(errs)
	}
	return out, nil
}

// entry waits for a connection to an address.
func (g *guarded) entry(to string, done func(history.Connection) bool) history.Connection {
	g.t.Helper()
	var out string
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		var err error
		if out, err = g.ask("connections", "--json"); err != nil {
			g.t.Fatal(err)
		}
		var all []history.Connection
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			g.t.Fatal(err)
		}
		for _, c := range all {
			if c.Destination.Address.String() == to && done(c) {
				return c
			}
		}
	}
	g.t.Fatalf("no such entry for %s in\n%s\n%s", to, out, &g.log)
	return history.Connection{}
}

// serve answers each connection with a line.
func (g *guarded) serve(address string) string {
	g.t.Helper()
	return g.serveEach(address, func(c net.Conn) {
		io.WriteString(c, "hello\n") //nolint:errcheck // the dialler sees what arrives
	})
}

func (g *guarded) serveEach(address string, do func(net.Conn)) string {
	g.t.Helper()
	var l net.Listener
	err := g.in(func() (err error) { l, err = net.Listen("tcp", address); return err })
	if err != nil {
		g.t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				do(c)
			}()
		}
	}()
	g.t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func ended(c history.Connection) bool { return c.Ended != nil }

func TestGuard(t *testing.T) {
	g := newGuarded(t)
	g.apart()
	open, closed, tunnelled := g.serve("127.0.0.1:0"), g.serve("127.0.0.66:0"), g.serve("127.0.0.77:0")
	g.start()

	if out, errs, err := g.dial(open); out != "hello\n" {
		t.Errorf("a permitted connection: %q, %q, %v\n%s", out, errs, err, &g.log)
	}
	c := g.entry("127.0.0.1", ended)
	if c.Verdict != "permit" || c.App.ID != "dial" || c.Process.Path != g.self || len(c.Process.Args) != 2 || c.Process.Cgroup == "" {
		t.Errorf("its entry: %+v", c)
	}
	if _, errs, err := g.dial(closed); err == nil || !strings.Contains(errs, "operation not permitted") {
		t.Errorf("a denied connection: %q, %v", errs, err)
	}
	c = g.entry("127.0.0.66", ended)
	if c.Verdict != "deny" || c.Rule != "deny 127.0.0.66" || !strings.Contains(c.Reason, "dial.toml:4") {
		t.Errorf("its entry: %+v", c)
	}
	if out, errs, err := g.dial(tunnelled); err == nil || out != "" {
		t.Errorf("a connection without a tunnel: %q, %q, %v", out, errs, err)
	}
	c = g.entry("127.0.0.77", ended)
	if c.Verdict != "tunnel" || !strings.Contains(c.Error, "no tunnel is set up") || c.Process.Path != g.self {
		t.Errorf("its entry: %+v", c)
	}
	if out, err := g.ask("why", "dial", "127.0.0.66:80"); err != nil || !strings.Contains(out, "deny 127.0.0.66") {
		t.Errorf("why: %q, %v", out, err)
	}
	t.Run("reload", func(t *testing.T) { testGuardReload(t, g, closed) })
	t.Run("crash", func(t *testing.T) { testGuardCrash(t, g, open) })
	if out, err := g.ask("stop"); err != nil || out != "stopped\n" {
		t.Errorf("stop: %q, %v", out, err)
	}
	if err := g.daemon.Wait(); err != nil {
		t.Errorf("the daemon ended with %v\n%s", err, &g.log)
	}
	if out, _, err := g.dial(closed); err != nil || out != "hello\n" {
		t.Errorf("after a clean stop the network is not open again: %q, %v", out, err)
	}
}

// testGuardReload breaks the profile, which keeps the old one, and mends it.
func testGuardReload(t *testing.T, g *guarded, closed string) {
	profile := fmt.Sprintf("paths = [%q]\ndefault = \"permit\"\n", g.self)
	g.write("profiles/dial.toml", profile+"rules = [\"deny 127.0.0.666\"]\n")
	if _, err := g.ask("reload"); err == nil || !strings.Contains(err.Error(), "dial.toml:3:") {
		t.Errorf("a broken profile: %v", err)
	}
	if _, errs, err := g.dial(closed); err == nil || !strings.Contains(errs, "operation not permitted") {
		t.Errorf("the profile before does not hold: %q, %v", errs, err)
	}
	g.write("profiles/dial.toml", profile)
	if out, err := g.ask("reload"); err != nil || out != "1 profiles are in force\n" {
		t.Errorf("a good profile: %q, %v", out, err)
	}
	if out, errs, _ := g.dial(closed); out != "hello\n" {
		t.Errorf("the new profile does not hold: %q, %q", out, errs)
	}
	g.write("profiles/dial.toml", profile+"rules = [\"deny 127.0.0.66\"]\n")
	for deadline := time.Now().Add(15 * time.Second); ; <-time.After(50 * time.Millisecond) {
		if _, _, err := g.dial(closed); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a changed file is not read by itself\n%s", &g.log)
		}
	}
}

// testGuardCrash kills the daemon: what it guards gets no new permission, and
// starting it again works.
func testGuardCrash(t *testing.T, g *guarded, open string) {
	g.write("profiles/dial.toml", fmt.Sprintf("paths = [%q]\ndefault = \"tunnel\"\n", g.self))
	if _, err := g.ask("reload"); err != nil {
		t.Fatal(err)
	}
	g.stop(syscall.SIGKILL)
	if out, _, err := g.dial(open); err == nil || out != "" {
		t.Errorf("after a crash something came through: %q, %v", out, err)
	}
	g.write("profiles/dial.toml", fmt.Sprintf("paths = [%q]\ndefault = \"permit\"\n", g.self))
	g.start()
	if out, errs, _ := g.dial(open); out != "hello\n" {
		t.Errorf("after the restart: %q, %q", out, errs)
	}
	g.write("profiles/dial.toml", fmt.Sprintf("paths = [%q]\ndefault = \"tunnel\"\n", g.self))
	if _, err := g.ask("reload"); err != nil {
		t.Fatal(err)
	}
	g.stop(syscall.SIGKILL)
	if out, _, err := g.dial(open); err == nil || out != "" {
		t.Errorf("after another crash something came through: %q, %v", out, err)
	}
	if out, err := g.ask("stop"); err != nil || !strings.Contains(out, "is open again") {
		t.Errorf("stop after a crash: %q, %v", out, err)
	}
	if out, errs, _ := g.dial(open); out != "hello\n" {
		t.Errorf("after stop: %q, %q", out, errs)
	}
	g.start()
}
