package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"safing/portmaster/kernel"
)

// A procfs is a directory with what the tests need of /proc.
type procfs struct {
	t   *testing.T
	dir string
}

func newProcfs(t *testing.T) procfs { return procfs{t, t.TempDir()} }

func (p procfs) add(pid int, started time.Duration, exe string, args ...string) {
	p.t.Helper()
	dir := filepath.Join(p.dir, fmt.Sprint(pid))
	if err := os.RemoveAll(dir); err != nil {
		p.t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	stat := fmt.Sprintf("%d (a) S 1 (b) S 1 %s%d 0 0", pid, strings.Repeat("0 ", 17), started/tick)
	files := map[string]string{
		"stat":    stat,
		"cmdline": strings.Join(args, "\x00") + "\x00",
		"cgroup":  "1:cpu:/old\n0::/user.slice/app.scope\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"exe": exe, "cwd": "/home"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			p.t.Fatal(err)
		}
	}
}

func TestDescribe(t *testing.T) {
	long := strings.Repeat("x", 2000)
	fs := newProcfs(t)
	fs.add(7, time.Minute, "/usr/bin/parent")
	fs.add(8, time.Hour, "/usr/bin/curl", "curl", "example.org")
	fs.add(9, time.Hour, "/usr/bin/other", "other")
	fs.add(10, time.Hour, "/usr/bin/curl", "curl", long, "end")
	fs.add(11, time.Hour, "/usr/bin/gone (deleted)", "gone")
	parent := Parent{7, "/usr/bin/parent"}
	const group = "/user.slice/app.scope"
	started := time.Hour + 3*time.Millisecond // finer than /proc

	tests := []struct {
		name   string
		report kernel.Process
		want   Info
	}{
		{
			"nothing noted",
			kernel.Process{PID: 8, PPID: 7, Started: started},
			Info{"/usr/bin/curl", []string{"curl", "example.org"}, group, "/home", parent},
		},
		{
			"noted, and still there",
			kernel.Process{PID: 8, PPID: 7, Started: started, Path: "/usr/bin/curl", Args: []string{"curl", "noted"}},
			Info{"/usr/bin/curl", []string{"curl", "noted"}, group, "/home", parent},
		},
		{
			"ended",
			kernel.Process{PID: 12, PPID: 7, Started: started, Path: "/usr/bin/curl", Args: []string{"curl"}},
			Info{"/usr/bin/curl", []string{"curl"}, "", "", Parent{PID: 7}},
		},
		{
			"identifier used again",
			kernel.Process{PID: 8, PPID: 7, Started: time.Minute, Path: "/usr/bin/wget"},
			Info{"/usr/bin/wget", nil, "", "", Parent{PID: 7}},
		},
		{
			"other program since",
			kernel.Process{PID: 9, PPID: 7, Started: started, Path: "/usr/bin/curl", Args: []string{"curl"}},
			Info{"/usr/bin/curl", []string{"curl"}, group, "/home", parent},
		},
		{
			"arguments cut",
			kernel.Process{PID: 10, Started: started, Path: "/usr/bin/curl", Args: []string{"curl", long[:1019]}},
			Info{"/usr/bin/curl", []string{"curl", long, "end"}, group, "/home", Parent{}},
		},
		{
			"path cut",
			kernel.Process{PID: 8, Started: started, Path: "…/bin/curl", Args: []string{"curl"}},
			Info{"/usr/bin/curl", []string{"curl"}, group, "/home", Parent{}},
		},
		{
			"file deleted",
			kernel.Process{PID: 11, Started: started, Path: "/usr/bin/gone"},
			Info{"/usr/bin/gone", []string{"gone"}, group, "/home", Parent{}},
		},
		{"the kernel itself", kernel.Process{}, Info{}},
	}
	d := newDescriber(fs.dir, 100)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, d.Describe(tt.report)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRemembers(t *testing.T) {
	fs := newProcfs(t)
	d := newDescriber(fs.dir, 2)
	report := func(pid int) kernel.Process { return kernel.Process{PID: pid, Started: time.Hour} }
	for pid := 1; pid <= 3; pid++ {
		fs.add(pid, time.Hour, fmt.Sprintf("/bin/%d", pid))
	}
	d.Describe(report(1))
	d.Describe(report(2))
	d.Describe(report(1)) // so that 2 is the oldest
	d.Describe(report(3))
	if err := os.RemoveAll(fs.dir); err != nil {
		t.Fatal(err)
	}
	for pid, want := range map[int]string{1: "/bin/1", 2: "", 3: "/bin/3"} {
		i, _ := d.remembered(key{pid: pid, started: time.Hour})
		if i.Path != want {
			t.Errorf("process %d: %q, want %q", pid, i.Path, want)
		}
	}
	if len(d.byKey) != 2 || d.recent.Len() != 2 {
		t.Errorf("%d and %d are kept, want 2", len(d.byKey), d.recent.Len())
	}
	again := report(1)
	again.Started = 2 * time.Hour
	if i := d.Describe(again); i.Path != "" {
		t.Errorf("a later process is described as %q", i.Path)
	}
}

func TestConcurrent(t *testing.T) {
	fs := newProcfs(t)
	for pid := 1; pid <= 8; pid++ {
		fs.add(pid, time.Hour, fmt.Sprintf("/bin/%d", pid))
	}
	d := newDescriber(fs.dir, 4)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := range 200 {
				pid := n%8 + 1
				if i := d.Describe(kernel.Process{PID: pid, Started: time.Hour}); i.Path != fmt.Sprintf("/bin/%d", pid) {
					t.Errorf("process %d is described as %q", pid, i.Path)
				}
			}
		})
	}
	all.Wait()
}

func TestOwnProcess(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("missing: procfs")
	}
	d := New()
	started, err := startOf(d.file(os.Getpid(), "stat"))
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	i := d.Describe(kernel.Process{PID: os.Getpid(), PPID: os.Getppid(), Started: started})
	if i.Path != exe || len(i.Args) != len(os.Args) || i.Parent.PID != os.Getppid() || i.Parent.Path == "" {
		t.Errorf("got %+v", i)
	}
}

func FuzzStartOf(f *testing.F) {
	f.Add([]byte("8 (a) S 1) S" + strings.Repeat(" 1", 19)))
	f.Add([]byte("8 (a) S" + strings.Repeat(" 0", 18) + " 99999999999999999999"))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, stat []byte) {
		if d, err := startOf(stat); err == nil && d < 0 {
			t.Errorf("started %v before the system", d)
		}
	})
}
