package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, programs())
}

// TestScripts runs the command line as users do. The scripts need no daemon;
// parts of them need root.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"unprivileged": unprivileged,
			"listen":       listen,
			"hold":         hold,
		},
		Condition: func(name string) (bool, error) { return name == "root" && os.Geteuid() == 0, nil },
	})
}

// unprivileged runs this program as nobody and keeps what it prints in the
// file output: unprivileged ARGS.
func unprivileged(ts *testscript.TestScript, neg bool, args []string) {
	cmd := exec.Command(publicCopy(ts), args...)
	cmd.Args[0] = "portmaster"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if (err != nil) != neg {
		ts.Fatalf("portmaster %v: %v: %s", args, err, out)
	}
	ts.Check(os.WriteFile(ts.MkAbs("output"), out, 0o600))
}

// publicCopy is a copy of this program that everybody may run. Another process
// writes it: what this one had open for writing, a child that is being started
// might hold open for a moment, and nobody could run it then.
func publicCopy(ts *testscript.TestScript) string {
	dir, err := os.MkdirTemp("", "portmaster-test-")
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(dir) })
	ts.Check(os.Chmod(dir, 0o755))
	self, err := os.Executable()
	ts.Check(err)
	path := filepath.Join(dir, "portmaster")
	ts.Check(exec.Command("cp", self, path).Run())
	ts.Check(os.Chmod(path, 0o755))
	return path
}

// listen occupies a port and sets a variable to its address: listen VARIABLE.
func listen(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// hold locks a file as a running daemon does: hold FILE.
func hold(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_CREATE|os.O_RDWR, 0o600)
	ts.Check(err)
	ts.Defer(func() { f.Close() })
	ts.Check(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
}
