package kernel

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestStatExeIsStat(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/proc/self/exe", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/usr/bin/env", "/proc/self/exe", link} {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		id, err := StatExe(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := (ExeID{Dev: st.Dev, Ino: st.Ino}); id != want {
			t.Errorf("%s: %+v, want %+v", path, id, want)
		}
	}
}

func TestStatExeErrors(t *testing.T) {
	if _, err := StatExe("/no/such/file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := StatExe("/"); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a directory: %v", err)
	}
}

// The kernel and StatExe agree about an executable of every file system that
// can be mounted here.
func TestStatExeIsTheKernels(t *testing.T) {
	s := newStage(t)
	s.load(Config{})
	dir := t.TempDir()
	tests := []struct{ name, kind, options string }{
		{"none", "", ""},
		{"tmpfs", "tmpfs", ""},
		{"overlay", "overlay", "lowerdir=" + dir + "/lower,upperdir=" + dir + "/upper/u,workdir=" + dir + "/upper/w"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			at := filepath.Join(dir, tt.name)
			for _, d := range []string{at, dir + "/lower", dir + "/upper"} {
				if err := os.MkdirAll(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if tt.kind == "overlay" {
				copyFile(t, self(t), dir+"/lower/exe")
				mountAt(t, "tmpfs", dir+"/upper", "")
				if err := errors.Join(os.Mkdir(dir+"/upper/u", 0o755), os.Mkdir(dir+"/upper/w", 0o755)); err != nil {
					t.Fatal(err)
				}
			}
			if tt.kind != "" {
				mountAt(t, tt.kind, at, tt.options)
			}
			exe := filepath.Join(at, "exe")
			if tt.kind != "overlay" {
				copyFile(t, self(t), exe)
			}
			s.runExe(exe, "tcp 4 192.0.2.1:1")
			e := s.next()
			if id, err := StatExe(exe); err != nil || e.Process.Exe != id {
				t.Errorf("StatExe says %+v, %v, the kernel %+v", id, err, e.Process.Exe)
			}
			if e.Process.Path != exe {
				t.Errorf("path %q, want %q", e.Process.Path, exe)
			}
		})
	}
}

func mountAt(t *testing.T, kind, dir, options string) {
	t.Helper()
	if err := unix.Mount(kind, dir, kind, 0, options); err != nil {
		t.Skipf("missing: %s: %v", kind, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func TestDeepAndLong(t *testing.T) {
	s := newStage(t)
	s.load(Config{})
	dir := t.TempDir()
	deep := filepath.Join(dir, strings.Repeat(strings.Repeat("d", 200)+"/", 8))
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	exe := copyFile(t, self(t), filepath.Join(deep, "exe"))
	s.runExe(exe, "tcp 4 192.0.2.1:1", strings.Repeat("a", 5000))
	p := s.next().Process
	if end, ok := strings.CutPrefix(p.Path, "…/"); !ok || !strings.HasSuffix(exe, end) || len(end) < 700 {
		t.Errorf("path %q", p.Path)
	}
	if got := strings.Join(p.Args, "\x00"); len(got) != 1024 || !strings.HasPrefix(got, exe[:1000]) {
		t.Errorf("%d bytes of arguments", len(got))
	}
}

func TestParseMount(t *testing.T) {
	tests := []struct {
		line string
		want mount
		ok   bool
	}{
		{
			`36 35 98:5 / /mnt/a\040b\134 rw,noatime master:1 shared:2 - ext3 /dev/root rw`,
			mount{36, unix.Mkdev(98, 5), "/", `/mnt/a b\`, "ext3"},
			true,
		},
		{
			`41 31 0:35 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw`,
			mount{41, unix.Mkdev(0, 35), "/", "/sys/fs/cgroup/unified", "cgroup2"},
			true,
		},
		{`41 31 0:35 / /x rw cgroup2`, mount{}, false},
		{`x 31 0:35 / /x rw - a b c`, mount{}, false},
		{`41 31 035 / /x rw - a b c`, mount{}, false},
		{``, mount{}, false},
	}
	for _, tt := range tests {
		got, ok := parseMount(tt.line)
		if ok != tt.ok || ok && !cmp.Equal(got, tt.want, cmp.AllowUnexported(mount{})) {
			t.Errorf("%q: %+v, %v", tt.line, got, ok)
		}
	}
}

func FuzzParseMount(f *testing.F) {
	f.Add(`36 35 98:5 / /mnt/a\040b\9 rw - ext3 /dev/root rw`)
	f.Fuzz(func(t *testing.T, line string) {
		if m, ok := parseMount(line); ok && len(m.point) > len(line) {
			t.Errorf("%q grew to %q", line, m.point)
		}
	})
}

func TestCgroupMount(t *testing.T) {
	dir, err := CgroupMount()
	if err != nil {
		t.Skipf("missing: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err != nil {
		t.Error(err)
	}
}
