package kernel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// next reads the next event, of which there must be one.
func (s *stage) next() Event {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	e, err := s.guard.Read(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

func TestEventOfShortProcess(t *testing.T) {
	s := newStage(t)
	s.load(Config{})
	before := time.Now()
	exe := copyFile(t, self(t), t.TempDir()+"/short lived")
	o := s.runExe(exe, "tcp 4 192.0.2.1:443", "one argument", "", "ünïcode")
	if o.Err != "EPERM" {
		t.Fatalf("%+v, want EPERM", o)
	}
	e := s.next() // the process is gone
	id, err := StatExe(exe)
	if err != nil {
		t.Fatal(err)
	}
	var group unix.Stat_t
	if err := unix.Stat(s.cgroup, &group); err != nil {
		t.Fatal(err)
	}
	p := e.Process
	if p.PID != o.PID || p.PPID != os.Getpid() || p.UID != 0 || p.CgroupID != group.Ino || p.Exe != id {
		t.Errorf("process %+v, want PID %d, cgroup %d and %+v", p, o.PID, group.Ino, id)
	}
	if p.Path != exe || p.Comm != "short lived" || !slices.Equal(p.Args, []string{exe, "one argument", "", "ünïcode"}) {
		t.Errorf("process %q %q %q", p.Path, p.Comm, p.Args)
	}
	if started := bootTime(t).Add(p.Started); started.Before(before.Add(-time.Second)) || started.After(e.Time) {
		t.Errorf("started at %v, connected at %v", started, e.Time)
	}
	if e.Time.Before(before.Add(-time.Second)) || e.Time.After(time.Now()) || e.Cookie == 0 {
		t.Errorf("event %+v", e)
	}
	want := netip.MustParseAddrPort("192.0.2.1:443")
	if e.Destination != want || e.Action != Deny || e.Protocol != 6 || e.App != 0 || e.Rule != 0 || e.DNS {
		t.Errorf("event %+v", e)
	}
}

func bootTime(t *testing.T) time.Time {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Now().Add(-time.Duration(ts.Nano()))
}

func TestEventOfCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("missing: curl")
	}
	s := newStage(t)
	g := s.load(Config{})
	id, err := StatExe(curl)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.BindExe(id, 9); err != nil {
		t.Fatal(err)
	}
	cmd := s.command(curl, "", "-s", "http://192.0.2.1/")
	s.do(func() error {
		if err := cmd.Run(); err == nil {
			return errors.New("curl got through")
		}
		return nil
	})
	e := s.next()
	if e.App != 9 || e.Process.Exe != id || e.Process.PID != cmd.Process.Pid || e.Process.Comm != "curl" {
		t.Errorf("event %+v, want application 9 and %+v", e, id)
	}
	if !slices.Equal(e.Process.Args, []string{curl, "-s", "http://192.0.2.1/"}) {
		t.Errorf("arguments %q", e.Process.Args)
	}
}

func TestEventsOfVerdicts(t *testing.T) {
	s := newStage(t)
	gate := s.listen("127.0.0.1:0", "instead")
	resolver := s.echo("127.0.0.1:0", "instead", nil)
	server := s.echo("127.0.0.1:0", "server", nil)
	s.load(Config{Gateway4: gate, Resolver4: resolver})
	tests := []struct {
		set    Action
		order  string
		action Action
		rule   uint32
		dns    bool
	}{
		{Permit, "send 4 " + server.String(), Permit, 5, false},
		{Permit, "udp 6 [::ffff:127.0.0.1]:" + fmt.Sprint(server.Port()), Permit, 5, false},
		{Tunnel, "tcp 4 192.0.2.1:80", Tunnel, 5, false},
		{Tunnel, "send 4 192.0.2.1:80", Deny, 5, false},
		{Deny, "tcp 4 192.0.2.1:80", Deny, 5, false},
		{Deny, "udp 4 192.0.2.1:53", Permit, 0, true},
		{Deny, "send 4 192.0.2.1:53", Permit, 0, true},
	}
	for _, tt := range tests {
		s.allow(everything(tt.set, 5))
		o := s.run(tt.order)
		e := s.next()
		to := strings.Fields(tt.order)[2]
		to = strings.NewReplacer("[::ffff:", "", "]", "").Replace(to)
		if e.Action != tt.action || e.Rule != tt.rule || e.DNS != tt.dns || e.Destination.String() != to || e.Process.PID != o.PID {
			t.Errorf("%v, %s: %+v", tt.set, tt.order, e)
		}
	}
	if n := s.guard.Lost(); n != 0 {
		t.Errorf("%d events were lost", n)
	}
}

func TestReadEnds(t *testing.T) {
	s := newStage(t)
	g := s.load(Config{})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() { _, err := g.Read(ctx); result <- err }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
	s.run("tcp 4 192.0.2.1:80")
	if e := s.next(); e.Action != Deny {
		t.Errorf("after a Read that was cancelled: %+v", e)
	}
	go func() { _, err := g.Read(t.Context()); result <- err }()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// What nobody reads is counted, and refused all the same.
func TestLost(t *testing.T) {
	s := newStage(t)
	g := s.load(Config{})
	child := s.start(s.command(self(t), "loop 192.0.2.1:80"), "begun")
	deadline := time.Now().Add(20 * time.Second)
	for g.Lost() == 0 && time.Now().Before(deadline) {
		s.run("tcp 4 192.0.2.1:80")
	}
	if permitted, _ := child.counts(t); permitted != 0 || g.Lost() == 0 {
		t.Errorf("%d permitted, %d lost", permitted, g.Lost())
	}
}

func FuzzDecodeEvent(f *testing.F) {
	f.Add(make([]byte, 72))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if e, err := decodeEvent(raw); err == nil {
			e.To.addrPort()
		}
	})
}

func TestJoinPath(t *testing.T) {
	for names, want := range map[string]string{"": "", "curl\x00bin\x00usr\x00": "/usr/bin/curl", "memfd:x\x00": "/memfd:x"} {
		if got := joinPath(names, false); got != want {
			t.Errorf("%q: %q, want %q", names, got, want)
		}
	}
	if got := joinPath("c\x00b\x00", true); got != "…/b/c" {
		t.Errorf("cut: %q", got)
	}
}
