package kernel

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

func TestLoadNamesWhatIsWrong(t *testing.T) {
	privilegedTest(t)
	root, err := CgroupMount()
	if err != nil {
		t.Fatal(err)
	}
	_, err = Load(Config{Cgroup: root + "/safing-no-such-group"})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "make it with mkdir") {
		t.Errorf("no such cgroup: %v", err)
	}
	_, err = Load(Config{Cgroup: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "is not a cgroup of version 2: name a directory below") {
		t.Errorf("not a cgroup: %v", err)
	}
	_, err = Load(Config{Cgroup: newCgroup(t), PinDir: "/dev/null/pins"})
	if err == nil || !strings.Contains(err.Error(), "make the directory for pins") {
		t.Errorf("no directory for pins: %v", err)
	}
}

func TestLoadWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		_, err := Load(Config{})
		checkNoRoot(t, err.Error())
		return
	}
	dir := t.TempDir()
	for d := dir; d != "/tmp" && len(d) > 1; d = d[:strings.LastIndex(d, "/")] {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(copyFile(t, self(t), dir+"/test"))
	cmd.Env = append(os.Environ(), childVariable+"=guard /sys/fs/cgroup ")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	checkNoRoot(t, string(out))
}

// TestLoadWithoutAFeature hides features in a mount namespace.
func TestLoadWithoutAFeature(t *testing.T) {
	privilegedTest(t)
	for cgroup, want := range map[string]string{
		newCgroup(t): "kernel type information (BTF) is missing, use a kernel with CONFIG_DEBUG_INFO_BTF=y",
		"":           "mount it with: mount -t cgroup2 none /sys/fs/cgroup",
	} {
		cmd := exec.Command(self(t))
		cmd.Env = append(os.Environ(), childVariable+"=hidden "+cgroup)
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatal(err)
		}
		if message := string(out); !strings.Contains(message, want) || strings.Count(message, "\n") != 1 {
			t.Errorf("%q, want %q", message, want)
		}
	}
}

func checkNoRoot(t *testing.T, message string) {
	t.Helper()
	if !strings.Contains(message, "needs root: run it with sudo") {
		t.Errorf("without root: %q", message)
	}
}

func TestProbe(t *testing.T) {
	all := Probe()
	if len(all) < 5 {
		t.Errorf("%d features are few", len(all))
	}
	for _, f := range all {
		if f.Name == "" || f.Why == "" || f.Fix == "" {
			t.Errorf("%+v is not complete", f)
		}
		t.Logf("%s: %v", f.Name, f.Err)
	}
}
