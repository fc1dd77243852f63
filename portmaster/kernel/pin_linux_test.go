package kernel

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A policy is replaced as a whole: both policies permit the server, by other
// entries, and a mixture of them would not.
func TestPolicyIsReplacedAtOnce(t *testing.T) {
	s := newStage(t)
	server := s.listen("127.1.2.3:0", "server")
	s.load(Config{})
	all := func(a Action) []Case { return []Case{{PortHigh: 65535, Action: a}} }
	policies := [][]Entry{
		{{netip.MustParsePrefix("127.0.0.0/8"), all(Permit)}},
		{
			{netip.MustParsePrefix("127.1.2.3/32"), all(Permit)},
			{netip.MustParsePrefix("127.1.0.0/16"), all(Deny)},
			{netip.MustParsePrefix("127.0.0.0/8"), all(Deny)},
		},
	}
	s.allow(policies[0])
	child := s.start(s.command(self(t), "loop "+server.String()), "begun")
	for n := range 50 {
		s.allow(policies[n%2])
	}
	permitted, denied := child.counts(t)
	if denied != 0 || permitted == 0 {
		t.Errorf("%d connections were permitted and %d denied, want none", permitted, denied)
	}
}

func TestExempt(t *testing.T) {
	s := newStage(t)
	server := s.listen("127.0.0.1:0", "server")
	child := s.start(s.command(self(t), "exempt "+s.cgroup+" "+server.String()), "itself: <nil>")
	if line := child.line(t); line != "its child: <nil> true" {
		t.Errorf("%s, want that it was refused", line)
	}
}

func isBPFFS(t *testing.T, dir string) bool {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return st.Type == unix.BPF_FS_MAGIC
}

// crashed leaves a guard behind whose process was killed.
func (s *stage) crashed(pinDir string) {
	s.t.Helper()
	cmd := s.command(self(s.t), "guard "+s.cgroup+" "+pinDir)
	cmd.SysProcAttr.UseCgroupFD = false
	child := s.start(cmd, "ready")
	if err := child.cmd.Process.Kill(); err != nil {
		s.t.Fatal(err)
	}
	child.cmd.Wait()
}

func TestCrash(t *testing.T) {
	s := newStage(t)
	pinDir := filepath.Join(t.TempDir(), "pins")
	inside, outside := s.listen("127.0.0.1:0", "inside"), s.listen("["+outside6+"]:0", "outside")
	t.Cleanup(func() { unix.Unmount(pinDir, unix.MNT_DETACH) })
	s.crashed(pinDir)
	for order, want := range map[string]string{
		"tcp 4 " + inside.String():  "", // as the last policy said
		"tcp 6 " + outside.String(): "EPERM",
		"tcp 4 192.0.2.1:53":        "ECONNREFUSED",
		"udp 4 192.0.2.1:53":        "ECONNREFUSED",
		"raw 4 127.0.0.1:0":         "EPERM",
	} {
		if o := s.run(order); o.Err != want {
			t.Errorf("after the crash, %s: %+v, want %q", order, o, want)
		}
	}

	child := s.start(s.command(self(t), "loop "+outside.String()), "begun")
	g := s.load(Config{PinDir: pinDir})
	if permitted, denied := child.counts(t); permitted != 0 || denied == 0 {
		t.Errorf("while guards changed, %d connections got through, %d were denied", permitted, denied)
	}
	if o := s.run("tcp 4 " + inside.String()); o.Err != "EPERM" {
		t.Errorf("the new guard has no policy: %+v, want EPERM", o)
	}
	s.allow(everything(Permit, 1))
	if o := s.run("tcp 6 " + outside.String()); o.Err != "" {
		t.Errorf("the old guard is still there: %+v", o)
	}
	if old, err := filepath.Glob(filepath.Join(pinDir, "guard-*")); err != nil || len(old) != 1 {
		t.Errorf("pinned are %q, %v, want one guard", old, err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if isBPFFS(t, pinDir) {
		t.Error("the bpffs that Load mounted is still there")
	}
	if o := s.run("tcp 6 " + outside.String()); o.Err != "" {
		t.Errorf("after Close: %+v", o)
	}
}

func TestPinsInBPFFS(t *testing.T) {
	s := newStage(t)
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	pinDir := filepath.Join(dir, "safing")
	g := s.load(Config{PinDir: pinDir})
	if pins, err := os.ReadDir(filepath.Join(pinDir, "guard-1")); err != nil || len(pins) != len(g.hooks()) {
		t.Errorf("%d pins, %v, want %d", len(pins), err, len(g.hooks()))
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(pinDir); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	if !isBPFFS(t, dir) {
		t.Error("Close unmounted a bpffs that was there before")
	}
}

// A guard that fails to start must not take the pins of another with it.
func TestPinsOfOthersStay(t *testing.T) {
	privilegedTest(t)
	dir := filepath.Join(t.TempDir(), "pins")
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	first, err := newPins(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := newPins(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(first.own); err != nil || !isBPFFS(t, dir) {
		t.Errorf("the first is gone: %v", err)
	}
	if err := first.remove(); err != nil {
		t.Fatal(err)
	}
	if isBPFFS(t, dir) {
		t.Error("still mounted")
	}
}
