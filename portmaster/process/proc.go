package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"safing/portmaster/kernel"
)

// tick is what /proc/PID/stat counts in: USER_HZ, which is 100 on all
// architectures that Go knows.
const tick = time.Second / 100

// read takes what the kernel noted, and the rest from /proc. Before and after
// reading there it looks whether it is the same process.
func (d *Describer) read(p kernel.Process) Info {
	i := Info{Path: p.Path, Args: p.Args, Parent: Parent{PID: p.PPID}}
	if !d.running(p) {
		i.Cgroup = cgroupPath(p.CgroupID)
		return i
	}
	now := d.look(p.PID)
	now.Parent.Path = d.link(p.PPID, "exe")
	if !d.running(p) {
		i.Cgroup = cgroupPath(p.CgroupID)
		return i
	}
	// The kernel's path is cut where it is too deep, its arguments after a
	// KiB. The file of a process that has called execve since is another.
	sameExe := i.Path == "" || strings.HasPrefix(i.Path, "…") || strings.TrimSuffix(now.Path, deleted) == i.Path
	if sameExe {
		i.Path = firstOf(strings.TrimSuffix(now.Path, deleted), i.Path)
		i.Args = complete(i.Args, now.Args)
	}
	i.Cgroup, i.Dir, i.Parent.Path = now.Cgroup, now.Dir, now.Parent.Path
	return i
}

const deleted = " (deleted)"

// notedArgs is how much of the arguments the kernel's report can hold.
const notedArgs = 1024

// complete returns all where noted is its beginning, cut in the last argument.
func complete(noted, all []string) []string {
	size := 0
	for _, a := range noted {
		size += len(a) + 1
	}
	last := len(noted) - 1
	switch {
	case last < 0:
		return all
	case size < notedArgs || len(all) < len(noted):
		return noted
	case !slices.Equal(noted[:last], all[:last]) || !strings.HasPrefix(all[last], noted[last]):
		return noted
	default:
		return all
	}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (d *Describer) look(pid int) Info {
	return Info{
		Path:   d.link(pid, "exe"),
		Args:   splitArgs(d.file(pid, "cmdline")),
		Cgroup: unifiedCgroup(d.file(pid, "cgroup")),
		Dir:    d.link(pid, "cwd"),
	}
}

func (d *Describer) name(pid int, file string) string {
	return filepath.Join(d.proc, strconv.Itoa(pid), file)
}

// maxFile bounds what is read of one file. Arguments can have megabytes.
const maxFile = 64 << 10

func (d *Describer) file(pid int, file string) []byte {
	f, err := os.Open(d.name(pid, file))
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil
	}
	return data
}

func (d *Describer) link(pid int, file string) string {
	if pid <= 0 {
		return ""
	}
	path, err := os.Readlink(d.name(pid, file))
	if err != nil {
		return ""
	}
	return path
}

// running says whether the process with p's identifier is still p.
func (d *Describer) running(p kernel.Process) bool {
	if p.PID <= 0 || p.Started == 0 {
		return false
	}
	started, err := startOf(d.file(p.PID, "stat"))
	return err == nil && started == p.Started.Truncate(tick)
}

// startOf is field 22 of /proc/PID/stat, the time since boot. The second field
// is the name in parentheses, which may hold anything.
func startOf(stat []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, errors.New("read the start of a process: no name")
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("read the start of a process: %d fields are too few", len(fields))
	}
	ticks, err := strconv.ParseUint(fields[19], 10, 63)
	if err != nil || ticks > uint64(1<<62/tick) {
		return 0, fmt.Errorf("read the start of a process: %q is not a time", fields[19])
	}
	return time.Duration(ticks) * tick, nil
}

func splitArgs(cmdline []byte) []string {
	if len(cmdline) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")
}

// unifiedCgroup finds the line of version 2, which has hierarchy 0.
func unifiedCgroup(lines []byte) string {
	for line := range strings.Lines(string(lines)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSuffix(path, "\n")
		}
	}
	return ""
}
