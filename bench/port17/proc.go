package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const tick = time.Second / 100 // USER_HZ, in which the kernel counts CPU time

// cpuTime is what a process has used, in user and kernel mode.
func cpuTime(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	return parseStat(b)
}

// parseStat reads fields 14 and 15 (proc_pid_stat(5)); the name, in brackets
// before them, may hold anything.
func parseStat(b []byte) time.Duration {
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 13 {
		return 0
	}
	return time.Duration(number(string(f[11]))+number(string(f[12]))) * tick
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func totalCPU(all []*process) (t time.Duration) {
	for _, p := range all {
		t += cpuTime(p.cmd.Process.Pid)
	}
	return t
}

// busy is the CPU time that was used on the whole machine, that which its host
// took away included.
func busy() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(b), "\n")
	var ticks int64
	for i, v := range strings.Fields(line) {
		// user nice system idle iowait irq softirq steal; guests are in user.
		if i >= 1 && i <= 8 && i != 4 && i != 5 {
			ticks += number(v)
		}
	}
	return time.Duration(ticks) * tick
}

// rss is the memory of a process that is in RAM, in bytes.
func rss(pid int) float64 {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			return float64(number(strings.Fields(v)[0])) * 1024
		}
	}
	return 0
}

// descriptors is how many files and connections a process has open.
func descriptors(pid int) int {
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0
	}
	return len(all)
}

// machine is one line about where this was measured.
func machine() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return runtime.GOOS
	}
	model := runtime.GOARCH
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if key, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d cores, Linux %s, %s", model, runtime.NumCPU(), unix.ByteSliceToString(u.Release[:]), runtime.Version())
}
