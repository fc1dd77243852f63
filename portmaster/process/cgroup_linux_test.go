package process

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"safing/portmaster/kernel"
)

func TestCgroupPath(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to open a cgroup by its number")
	}
	mount, err := kernel.CgroupMount()
	if err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp(mount, "safing-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	var s unix.Stat_t
	if err := unix.Stat(dir, &s); err != nil {
		t.Fatal(err)
	}
	if got, want := cgroupPath(s.Ino), "/"+filepath.Base(dir); got != want {
		t.Errorf("group %d is %q, want %q", s.Ino, got, want)
	}
	if got := cgroupPath(1 << 60); got != "" {
		t.Errorf("a group that is not there is %q", got)
	}
}
