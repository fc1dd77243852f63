package kernel

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// Read waits for the next event. It returns the error of ctx when that ends,
// and one that wraps [os.ErrClosed] after Close. The kernel keeps about ten
// thousand events; what does not fit is counted by Lost.
func (g *Guard) Read(ctx context.Context) (Event, error) {
	g.reading.Lock()
	defer g.reading.Unlock()
	stop := context.AfterFunc(ctx, func() { g.ring.Flush() })
	defer stop()
	for ctx.Err() == nil {
		err := g.ring.ReadInto(&g.record)
		if errors.Is(err, ringbuf.ErrFlushed) {
			continue // by this call's context, or by that of an earlier one
		}
		if err != nil {
			return Event{}, fmt.Errorf("read events: %w", err)
		}
		return g.event(g.record.RawSample)
	}
	return Event{}, ctx.Err()
}

func (g *Guard) event(raw []byte) (Event, error) {
	e, err := decodeEvent(raw)
	if err != nil {
		return Event{}, err
	}
	return Event{
		Time:        sinceBoot(e.Time),
		Process:     g.process(e.Who),
		App:         AppID(e.App),
		Protocol:    e.To.Protocol,
		Destination: e.To.addrPort(),
		Action:      Action(e.Action),
		Rule:        e.Rule,
		Cookie:      e.Cookie,
		DNS:         e.Dns != 0,
	}, nil
}

func decodeEvent(raw []byte) (e guardEvent, err error) {
	if len(raw) < int(unsafe.Sizeof(e)) {
		return e, fmt.Errorf("decode event: %d bytes are too few", len(raw))
	}
	if err := binary.Read(bytes.NewReader(raw), binary.NativeEndian, &e); err != nil {
		return e, fmt.Errorf("decode event: %w", err)
	}
	return e, nil
}

func sinceBoot(nanoseconds uint64) time.Time {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return time.Now()
	}
	return time.Now().Add(time.Duration(nanoseconds) - time.Duration(now.Nano()))
}

// Lost counts the events that nobody read in time.
func (g *Guard) Lost() uint64 {
	var each []uint64
	if err := g.objects.GuardLost.Lookup(uint32(0), &each); err != nil {
		return 0
	}
	var sum uint64
	for _, n := range each {
		sum += n
	}
	return sum
}

// Original tells the gateway and the resolver who their client is and what it
// asked for, given its source address as they see it. A connection that was
// not rewritten, or not in the network namespace of Load, is [ErrNoRedirect].
func (g *Guard) Original(src netip.AddrPort, protocol uint8) (Redirect, error) {
	key := guardOrigin{Netns: g.netns, From: newEndpoint(src)}
	key.From.Protocol = protocol
	var r guardRedirect
	err := g.objects.GuardOrigins.Lookup(&key, &r)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return Redirect{}, fmt.Errorf("find what %s asked for: %w", src, ErrNoRedirect)
	}
	if err != nil {
		return Redirect{}, fmt.Errorf("find what %s asked for: %w", src, err)
	}
	return Redirect{
		Destination: r.To.addrPort(), Process: g.process(r.Who),
		App: AppID(r.App), Rule: r.Rule, Cookie: r.Cookie,
	}, nil
}

// process is what the kernel has noted, or just the identity if that was
// displaced by two thousand processes since.
func (g *Guard) process(who guardIdentity) Process {
	out := Process{PID: int(who.Tgid), Started: time.Duration(who.Started)}
	var p guardProcess
	if err := g.objects.GuardProcesses.Lookup(&who, &p); err != nil || p.Ready == 0 {
		return out
	}
	out.PPID, out.UID, out.CgroupID, out.Exe = int(p.Ppid), p.Uid, p.Cgroup, p.Exe.id()
	out.Comm = text(p.Comm[:])
	out.Path = joinPath(characters(p.Path[:min(int(p.PathLen), len(p.Path))]), p.PathCut != 0)
	out.Args = splitArgs(characters(p.Args[:min(int(p.ArgsLen), len(p.Args))]))
	return out
}

// joinPath turns "curl\0bin\0usr\0" into /usr/bin/curl.
func joinPath(names string, cut bool) string {
	if names == "" {
		return ""
	}
	list := strings.Split(strings.TrimSuffix(names, "\x00"), "\x00")
	slices.Reverse(list)
	start := "/"
	if cut {
		start = "…/"
	}
	return start + strings.Join(list, "/")
}

func splitArgs(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\x00"), "\x00")
}

func characters(s []int8) string {
	b := make([]byte, len(s))
	for i, c := range s {
		b[i] = byte(c)
	}
	return string(b)
}

// text is a string that ends with its first NUL.
func text(s []int8) string {
	before, _, _ := strings.Cut(characters(s), "\x00")
	return before
}
