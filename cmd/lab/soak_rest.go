package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// A usage is what a process uses.
type usage struct {
	Memory     int `json:"memory"` // resident, bytes
	Files      int `json:"files"`
	Goroutines int `json:"goroutines,omitempty"` // at the very end
}

// What a process may use at rest beyond what it did before. The runtime gives
// not all memory back; links and circuits that are kept in stock are files.
const (
	moreMemory = 64 << 20
	moreFiles  = 32
)

func (u usage) above(base usage) bool {
	return u.Memory > base.Memory+base.Memory/2+moreMemory || u.Files > base.Files+moreFiles
}

// use is what each process uses now.
func (s *soaking) use() map[string]usage {
	all := make(map[string]usage)
	for _, p := range s.world.snapshot() {
		if u, err := useOf(p.cmd.Process.Pid); err == nil { // it may have been killed
			all[p.name] = u
		}
	}
	return all
}

func useOf(pid int) (usage, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return usage{}, err
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return usage{}, fmt.Errorf("process %d: statm is %q", pid, b)
	}
	pages, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return usage{}, err
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return usage{Memory: pages * os.Getpagesize(), Files: len(files)}, err
}

// atRest waits until nothing uses more than it did before, and says what does if
// that takes too long. Without a base line it waits for a while.
func (s *soaking) atRest(ctx context.Context, base map[string]usage) map[string]usage {
	if base == nil {
		pause(ctx, warmUp)
		return s.use()
	}
	limit := time.Now().Add(restLimit)
	for {
		now := s.use()
		var above []string
		for _, name := range sorted(base) {
			if u, ok := now[name]; !ok || u.above(base[name]) {
				above = append(above, name)
			}
		}
		if len(above) == 0 || ctx.Err() != nil {
			return now
		}
		if time.Now().After(limit) {
			for _, name := range above {
				s.bug("%s uses more at rest: %+v, it was %+v", name, now[name], base[name])
			}
			return now
		}
		pause(ctx, time.Second)
	}
}

// goroutines ends every process with a dump of its goroutines and counts them.
// Some belong to a process, and some to each neighbour.
func (s *soaking) goroutines(rest map[string]usage) {
	all := s.world.snapshot()
	limit := 100 + 20*len(all)
	for _, p := range all {
		n, err := p.quit()
		if err != nil {
			s.bug("%s %s: %v", p.role, p.name, err)
			continue
		}
		u := rest[p.name]
		u.Goroutines = n
		rest[p.name] = u
		if n > limit {
			s.bug("%s %s has %d goroutines at rest, more than %d", p.role, p.name, n, limit)
		}
	}
}

// quit makes a program print its goroutines and end, and counts them.
func (p *process) quit() (int, error) {
	before, err := os.ReadFile(p.log)
	if err != nil {
		return 0, err
	}
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return 0, fmt.Errorf("ask for its goroutines: %w", err)
	}
	<-p.ended
	after, err := os.ReadFile(p.log)
	if err != nil {
		return 0, err
	}
	return bytes.Count(after[min(len(before), len(after)):], []byte("\ngoroutine ")), nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
