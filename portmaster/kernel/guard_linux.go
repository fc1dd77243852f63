package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// A Guard holds the programs on one cgroup. Its methods may be called from any
// goroutine.
type Guard struct {
	objects   guardObjects
	tableSpec *ebpf.MapSpec
	links     []link.Link
	pins      *pins // nil when not pinned
	ring      *ringbuf.Reader
	netns     uint64 // cookie of the namespace of resolver and gateway
	log       *slog.Logger

	closed   sync.Once
	closeErr error

	reading sync.Mutex
	record  ringbuf.Record // guarded by reading
}

// Load puts the programs on the cgroup. From then on its processes have no
// network, but DNS, until SetPolicy gives them some. This process is exempt.
// Sockets that are already connected stay so.
func Load(c Config) (*Guard, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := privileged(); err != nil {
		return nil, fmt.Errorf("guard processes: %w", err)
	}
	dir, err := openCgroup(c.Cgroup)
	if err != nil {
		return nil, fmt.Errorf("guard processes: %w", err)
	}
	g := &Guard{log: c.Log}
	if err := g.load(c); err != nil {
		return nil, errors.Join(explain(err), g.Close())
	}
	if err := g.attach(dir, c.PinDir); err != nil {
		return nil, errors.Join(fmt.Errorf("guard the processes of %s: %w", dir, err), g.Close())
	}
	g.log.Info("guarding", "cgroup", dir, "pinned", c.PinDir != "")
	return g, nil
}

func (g *Guard) load(c Config) error {
	if err := rlimit.RemoveMemlock(); err != nil {
		return fmt.Errorf("lift the limit of locked memory: %w", err)
	}
	spec, err := loadGuard()
	if err != nil {
		return err
	}
	g.tableSpec = spec.Maps[guardMapGuardPolicies].InnerMap
	if err := spec.LoadAndAssign(&g.objects, nil); err != nil {
		return fmt.Errorf("load programs: %w", err)
	}
	if g.netns, err = netnsCookie(); err != nil {
		return fmt.Errorf("name this network namespace: %w", err)
	}
	s := guardSettings{
		Resolver4: newEndpoint(c.Resolver4), Resolver6: newEndpoint(c.Resolver6),
		Gateway4: newEndpoint(c.Gateway4), Gateway6: newEndpoint(c.Gateway6),
	}
	if err := g.objects.GuardSettings.Put(uint32(0), &s); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	// The kernel writes down who calls, so it needs no guess at how it counts
	// time and processes.
	if code, err := g.objects.GuardClaim.Run(&ebpf.RunOptions{}); err != nil || code != 0 {
		return fmt.Errorf("exempt this process: code %d: %w", code, err)
	}
	g.ring, err = ringbuf.NewReader(g.objects.GuardEvents)
	if err != nil {
		return fmt.Errorf("open the ring of events: %w", err)
	}
	return nil
}

// explain names the feature that is missing if loading failed for one.
func explain(err error) error {
	for _, f := range Probe() {
		if f.Err != nil {
			return fmt.Errorf("guard processes: %s is missing, %s: %w", f.Name, f.Fix, err)
		}
	}
	return fmt.Errorf("guard processes: %w", err)
}

// openCgroup returns the directory of the cgroup that path names.
func openCgroup(path string) (string, error) {
	if path == "" {
		return CgroupMount()
	}
	var st unix.Statfs_t
	err := unix.Statfs(path, &st)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no cgroup %s: make it with mkdir: %w", path, err)
	}
	if err != nil {
		return "", fmt.Errorf("open cgroup: %w", &os.PathError{Op: "statfs", Path: path, Err: err})
	}
	if st.Type != unix.CGROUP2_SUPER_MAGIC {
		return "", fmt.Errorf("%s is not a cgroup of version 2: name a directory below where cgroup2 is mounted", path)
	}
	return path, nil
}

func netnsCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
}

// Close ends guarding: it detaches and unpins the programs, and unmounts what
// Load has mounted. Connections that were rewritten stay so. Close may be
// called more than once.
func (g *Guard) Close() error {
	g.closed.Do(func() {
		var errs []error
		if g.ring != nil {
			errs = append(errs, g.ring.Close())
		}
		if g.pins != nil {
			errs = append(errs, g.pins.remove())
		}
		for _, l := range g.links {
			errs = append(errs, l.Close())
		}
		errs = append(errs, g.objects.Close())
		if err := errors.Join(errs...); err != nil {
			g.closeErr = fmt.Errorf("end guarding: %w", err)
		}
	})
	return g.closeErr
}
