package kernel

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"safing/internal/netns"
)

// childVariable makes a copy of the test binary open a connection instead.
const childVariable = "KERNEL_TEST_CHILD"

func TestMain(m *testing.M) {
	if order := os.Getenv(childVariable); order != "" {
		switch operation, rest, _ := strings.Cut(order, " "); operation {
		case "loop":
			childLoop(rest)
		case "dial":
			childDial(rest)
		case "exempt":
			childExempt(rest)
		case "guard":
			childGuard(rest)
		case "hidden":
			childHidden(rest)
		default:
			child(order)
		}
		return
	}
	os.Exit(m.Run())
}

// privilegedTest skips, or fails where skipping is not wanted.
func privilegedTest(t testing.TB) {
	t.Helper()
	for _, f := range Probe() {
		if f.Err == nil {
			continue
		}
		if os.Getenv("SAFING_REQUIRE_PRIVILEGED") == "1" {
			t.Fatalf("missing: %s: %v", f.Name, f.Err)
		}
		t.Skipf("missing: %s: %v", f.Name, f.Err)
	}
}

// A stage is a network namespace and a cgroup with a guard on it.
type stage struct {
	t      testing.TB
	ns     *netns.Namespace
	cgroup string
	guard  *Guard
	loaded chan struct{} // closed when guard is set
}

const outside6 = "fd00::9" // an address of the namespace that is not ::1

func newStage(t testing.TB) *stage {
	t.Helper()
	privilegedTest(t)
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ns.Close)
	s := &stage{t: t, ns: ns, cgroup: newCgroup(t), loaded: make(chan struct{})}
	s.do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		addr, err := netlink.ParseAddr(outside6 + "/128")
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD // usable at once
		return netlink.AddrAdd(lo, addr)
	})
	return s
}

func newCgroup(t testing.TB) string {
	t.Helper()
	root, err := CgroupMount()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(root, "safing-kernel-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func (s *stage) do(f func() error) {
	s.t.Helper()
	if err := s.ns.Do(f); err != nil {
		s.t.Fatal(err)
	}
}

// load guards the stage's cgroup.
func (s *stage) load(c Config) *Guard {
	s.t.Helper()
	c.Cgroup = s.cgroup
	s.do(func() (err error) {
		s.guard, err = Load(c)
		return err
	})
	close(s.loaded)
	s.t.Cleanup(func() {
		if err := s.guard.Close(); err != nil {
			s.t.Error(err)
		}
	})
	return s.guard
}

// everything is a policy with one action.
func everything(a Action, rule uint32) []Entry {
	cases := []Case{{PortHigh: 65535, Action: a, Rule: rule}}
	return []Entry{{netip.MustParsePrefix("0.0.0.0/0"), cases}, {netip.MustParsePrefix("::/0"), cases}}
}

// allow sets the policy of application 0.
func (s *stage) allow(entries []Entry) {
	s.t.Helper()
	if err := s.guard.SetPolicy(0, entries); err != nil {
		s.t.Fatal(err)
	}
}

// listen serves a TCP port that says its name.
func (s *stage) listen(addr, name string) netip.AddrPort {
	s.t.Helper()
	var l net.Listener
	s.do(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	s.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, name)
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// echo serves a UDP port that answers with its name and hands the sender to
// seen.
func (s *stage) echo(addr, name string, seen func(netip.AddrPort)) netip.AddrPort {
	s.t.Helper()
	var c *net.UDPConn
	s.do(func() error {
		p, err := net.ListenPacket("udp", addr)
		if err == nil {
			c = p.(*net.UDPConn)
		}
		return err
	})
	s.t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 100)
		for {
			_, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if seen != nil {
				seen(from)
			}
			c.WriteToUDPAddrPort([]byte(name), from)
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// command prepares a child in the cgroup that follows order.
func (s *stage) command(exe, order string, args ...string) *exec.Cmd {
	s.t.Helper()
	dir, err := os.Open(s.cgroup)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { dir.Close() })
	cmd := exec.Command(exe, args...)
	// The race detector would let each child wait for a second as it ends.
	cmd.Env = append(os.Environ(), childVariable+"="+order, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd()), Pdeathsig: syscall.SIGKILL}
	return cmd
}

func self(t testing.TB) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// run lets a child in the cgroup open one connection.
func (s *stage) run(order string, args ...string) outcome {
	s.t.Helper()
	return s.runExe(self(s.t), order, args...)
}

func (s *stage) runExe(exe, order string, args ...string) (o outcome) {
	s.t.Helper()
	cmd := s.command(exe, order, args...)
	var out strings.Builder
	cmd.Stdout = &out
	s.do(cmd.Run)
	if err := json.Unmarshal([]byte(out.String()), &o); err != nil {
		s.t.Fatalf("child %q: %v: %s", order, err, out.String())
	}
	return o
}

// An outcome is what a child saw.
type outcome struct {
	PID   int
	Err   string // EPERM and the like, or nothing
	Local string
	Peer  string // by getpeername
	From  string // the sender of the reply, by recvfrom
	Reply string
}

// child follows an order of the form "tcp 6 [::1]:80": the operation, the
// socket's family and the destination.
func child(order string) {
	o := outcome{PID: os.Getpid()}
	fields := strings.Fields(order)
	if err := o.open(fields[0], fields[1], fields[2]); err != nil {
		o.Err = err.Error()
		var errno syscall.Errno
		if errors.As(err, &errno) {
			o.Err = unix.ErrnoName(errno)
		}
	}
	json.NewEncoder(os.Stdout).Encode(o)
}

func (o *outcome) open(operation, family, destination string) error {
	domain := map[string]int{"4": unix.AF_INET, "6": unix.AF_INET6, "packet": unix.AF_PACKET}[family]
	to := sockaddr(domain, netip.MustParseAddrPort(destination))
	kind, protocol := unix.SOCK_DGRAM, 0
	switch operation {
	case "tcp", "fastopen":
		kind = unix.SOCK_STREAM
	case "mptcp":
		kind, protocol = unix.SOCK_STREAM, unix.IPPROTO_MPTCP
	case "raw":
		kind, protocol = unix.SOCK_RAW, unix.IPPROTO_ICMP
	case "ping":
		protocol = unix.IPPROTO_ICMP
	}
	fd, err := unix.Socket(domain, kind, protocol)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	timeout := unix.Timeval{Sec: 5}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return err
	}
	switch operation {
	case "send":
		err = unix.Sendto(fd, []byte("ping"), 0, to)
	case "fastopen":
		err = unix.Sendto(fd, []byte("ping"), unix.MSG_FASTOPEN, to)
	case "udp":
		if err = unix.Connect(fd, to); err == nil {
			_, err = unix.Write(fd, []byte("ping"))
		}
	default:
		err = unix.Connect(fd, to)
	}
	if err != nil {
		return err
	}
	return o.look(fd)
}

func (o *outcome) look(fd int) error {
	if peer, err := unix.Getpeername(fd); err == nil {
		o.Peer = addrPortOf(peer).String()
	}
	buf := make([]byte, 100)
	n, from, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return err
	}
	if from != nil {
		o.From = addrPortOf(from).String()
	}
	if local, err := unix.Getsockname(fd); err == nil {
		o.Local = addrPortOf(local).String()
	}
	o.Reply = string(buf[:n])
	return nil
}

func sockaddr(domain int, a netip.AddrPort) unix.Sockaddr {
	if domain == unix.AF_INET {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}

func addrPortOf(s unix.Sockaddr) netip.AddrPort {
	switch s := s.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.Addr), uint16(s.Port))
	default:
		return netip.AddrPort{}
	}
}
