package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// A hook is one program and where it belongs.
type hook struct {
	name    string
	attach  ebpf.AttachType
	program *ebpf.Program
}

// hooks lists them in the order in which they are attached. What hides a
// rewriting comes before what rewrites.
func (g *Guard) hooks() []hook {
	o := &g.objects
	return []hook{
		{"egress", ebpf.AttachCGroupInetEgress, o.GuardEgress},
		{"recvmsg4", ebpf.AttachCGroupUDP4Recvmsg, o.GuardRecvmsg4},
		{"recvmsg6", ebpf.AttachCGroupUDP6Recvmsg, o.GuardRecvmsg6},
		{"getpeername4", ebpf.AttachCgroupInet4GetPeername, o.GuardGetpeername4},
		{"getpeername6", ebpf.AttachCgroupInet6GetPeername, o.GuardGetpeername6},
		{"socket", ebpf.AttachCGroupInetSockCreate, o.GuardSocket},
		{"sendmsg4", ebpf.AttachCGroupUDP4Sendmsg, o.GuardSendmsg4},
		{"sendmsg6", ebpf.AttachCGroupUDP6Sendmsg, o.GuardSendmsg6},
		{"connect4", ebpf.AttachCGroupInet4Connect, o.GuardConnect4},
		{"connect6", ebpf.AttachCGroupInet6Connect, o.GuardConnect6},
	}
}

func (g *Guard) attach(cgroup, pinDir string) error {
	if pinDir != "" {
		p, err := newPins(pinDir)
		if err != nil {
			return err
		}
		g.pins = p
	}
	for _, h := range g.hooks() {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: cgroup, Attach: h.attach, Program: h.program})
		if err != nil {
			return fmt.Errorf("attach %s: %w", h.name, err)
		}
		g.links = append(g.links, l)
		if g.pins == nil {
			continue
		}
		if err := l.Pin(filepath.Join(g.pins.own, h.name)); err != nil {
			return fmt.Errorf("pin %s: %w", h.name, err)
		}
	}
	if g.pins != nil {
		return g.pins.removeOthers()
	}
	return nil
}

// pins are the links of one guard in a bpffs:
//
//	PINDIR/mounted          exists if the bpffs was mounted by a guard
//	PINDIR/guard-N/connect4 …
//
// N differs from guard to guard, so that a new one is in place before those
// of one that crashed are removed.
type pins struct {
	dir, own string
}

const (
	mountedMark = "mounted"
	pinPrefix   = "guard-"
)

func newPins(dir string) (*pins, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory for pins: %w", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return nil, fmt.Errorf("look at the directory for pins: %w", &os.PathError{Op: "statfs", Path: dir, Err: err})
	}
	if st.Type != unix.BPF_FS_MAGIC {
		if err := unix.Mount("bpf", dir, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
			return nil, fmt.Errorf("mount a bpffs: %w", &os.PathError{Op: "mount", Path: dir, Err: err})
		}
		if err := os.Mkdir(filepath.Join(dir, mountedMark), 0o700); err != nil {
			return nil, errors.Join(fmt.Errorf("mark the bpffs: %w", err), unix.Unmount(dir, 0))
		}
	}
	own, err := makeNumbered(filepath.Join(dir, pinPrefix))
	if err != nil {
		return nil, fmt.Errorf("make the directory for pins: %w", err)
	}
	return &pins{dir: dir, own: own}, nil
}

// makeNumbered makes the first directory of prefix1, prefix2 … that is not
// there.
func makeNumbered(prefix string) (string, error) {
	for n := 1; ; n++ {
		dir := prefix + strconv.Itoa(n)
		err := os.Mkdir(dir, 0o700)
		if !errors.Is(err, os.ErrExist) {
			return dir, err
		}
	}
}

func (p *pins) removeOthers() error {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return fmt.Errorf("find earlier pins: %w", err)
	}
	for _, e := range entries {
		dir := filepath.Join(p.dir, e.Name())
		if !strings.HasPrefix(e.Name(), pinPrefix) || dir == p.own {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove earlier pins: %w", err)
		}
	}
	return nil
}

func (p *pins) remove() error {
	if err := os.RemoveAll(p.own); err != nil {
		return fmt.Errorf("unpin: %w", err)
	}
	// Unmounting would end the guards that are still pinned there.
	others, err := filepath.Glob(filepath.Join(p.dir, pinPrefix+"*"))
	if err != nil || len(others) > 0 {
		return err
	}
	if err := os.Remove(filepath.Join(p.dir, mountedMark)); err != nil {
		return nil // the bpffs was there before
	}
	if err := unix.Unmount(p.dir, 0); err != nil {
		return fmt.Errorf("unmount: %w", &os.PathError{Op: "unmount", Path: p.dir, Err: err})
	}
	return nil
}
