package wan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"safing/internal/netns"
)

const (
	device     = "wan"
	vnetHeader = 10     // virtio_net_hdr: how the kernel is to cut segments
	txQueue    = 20_000 // packets that wait for this program to read them
)

// A Switch passes packets between hosts, each a namespace with a TUN device.
type Switch struct {
	link  Link
	seed  uint64
	ended sync.WaitGroup

	mu     sync.Mutex
	hosts  map[netip.Addr]*host // by all their addresses
	paths  map[pair]*path
	closed bool

	passed, lost atomic.Uint64
}

// A host has a TUN device and one or more addresses; the first stands for it.
type host struct {
	addr netip.Addr
	tun  *os.File
}

type pair struct{ from, to netip.Addr }

// New makes a switch whose links all are alike.
func New(l Link, seed uint64) *Switch {
	return &Switch{link: l, seed: seed, hosts: make(map[netip.Addr]*host), paths: make(map[pair]*path)}
}

// Add makes a host with one or more IPv4 addresses of 10.0.0.0/8. What it sends
// comes from the first, unless its programs choose another. The caller closes
// the namespace, after Close.
func (s *Switch) Add(addr netip.Addr, more ...netip.Addr) (*netns.Namespace, error) {
	n, err := netns.New()
	if err != nil {
		return nil, err
	}
	addrs := append([]netip.Addr{addr}, more...)
	if err := n.Do(func() error { return s.join(addrs) }); err != nil {
		n.Close()
		return nil, fmt.Errorf("add host %s: %w", addr, err)
	}
	return n, nil
}

// Join makes a host of the network namespace that the program itself is in, as
// Add does of a new one. It is one again after Close.
func (s *Switch) Join(addr netip.Addr, more ...netip.Addr) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := s.join(append([]netip.Addr{addr}, more...)); err != nil {
		return fmt.Errorf("add this host as %s: %w", addr, err)
	}
	return nil
}

// join makes a host of this thread's namespace.
func (s *Switch) join(addrs []netip.Addr) error {
	tun, err := openTUN(s.link.whole())
	if err != nil {
		return err
	}
	if err := configure(addrs); err != nil {
		return errors.Join(err, tun.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &host{addrs[0], tun}
	for _, a := range addrs {
		s.hosts[a] = h
	}
	s.ended.Go(func() { s.read(h) })
	return nil
}

func openTUN(whole bool) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(device)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make a TUN device: %w", err)
	}
	offload := unix.TUN_F_CSUM
	if whole {
		offload |= unix.TUN_F_TSO4
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offload); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("offload on a TUN device: %w", err)
	}
	return os.NewFile(uintptr(fd), device), nil
}

// configure gives the device of this thread's namespace its addresses.
func configure(addrs []netip.Addr) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		to := &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(8, 32)}}
		if err := netlink.AddrAdd(link, to); err != nil {
			return fmt.Errorf("set the address %s: %w", addr, err)
		}
	}
	if err := netlink.LinkSetTxQLen(link, txQueue); err != nil {
		return fmt.Errorf("set the queue's length: %w", err)
	}
	return netlink.LinkSetUp(link)
}

// read takes what one host sends, until its device is closed.
func (s *Switch) read(from *host) {
	buf := make([]byte, vnetHeader+1<<16)
	for {
		n, err := from.tun.Read(buf)
		if err != nil {
			return
		}
		ip := buf[vnetHeader:max(n, vnetHeader)]
		if to, ok := destination(ip); ok {
			s.pass(from, to, buf[:n])
		}
	}
}

// destination reads it from an IPv4 header (RFC 791, 3.1).
func destination(packet []byte) (netip.Addr, bool) {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(packet[16:20])), true
}

// pass copies a packet and lets it wait, or drops it, as a router does.
func (s *Switch) pass(from *host, to netip.Addr, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock() // until it is queued, so that held is not closed before
	h := s.hosts[to]
	if h == nil || s.closed {
		return
	}
	p := s.pathLocked(from, h)
	due, ok := p.admit(time.Now(), len(data)-vnetHeader)
	if !ok {
		s.lost.Add(1)
		return
	}
	select {
	case p.held <- packet{due, append([]byte(nil), data...)}:
		s.passed.Add(1)
	default:
		s.lost.Add(1)
	}
}

func (s *Switch) pathLocked(from, to *host) *path {
	way := pair{from.addr, to.addr}
	p := s.paths[way]
	if p == nil {
		p = newPath(s.link, s.seed, number(way.from)<<32|number(way.to))
		s.paths[way] = p
		s.ended.Go(func() { p.deliver(to.tun.Write) })
	}
	return p
}

func number(a netip.Addr) uint64 {
	b := a.As4()
	return uint64(binary.BigEndian.Uint32(b[:]))
}

// Set changes both directions of the link between two hosts, each named by any
// of its addresses.
func (s *Switch) Set(a, b netip.Addr, l Link) {
	s.both(a, b, func(p *path) { p.set(l) })
}

// Reset makes the link between two hosts like all others again.
func (s *Switch) Reset(a, b netip.Addr) { s.Set(a, b, s.link) }

// Cut lets no packet pass between two hosts any more, in both directions, until
// Restore. Neither is told.
func (s *Switch) Cut(a, b netip.Addr) { s.both(a, b, func(p *path) { p.sever(true) }) }

// Restore makes the link between two hosts what it was before Cut.
func (s *Switch) Restore(a, b netip.Addr) { s.both(a, b, func(p *path) { p.sever(false) }) }

// both calls f for both directions of the link, if there are such hosts.
func (s *Switch) both(a, b netip.Addr, f func(*path)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, y := s.hosts[a], s.hosts[b]
	if x == nil || y == nil || s.closed {
		return
	}
	f(s.pathLocked(x, y))
	f(s.pathLocked(y, x))
}

// Packets returns how many packets were passed on and how many were lost, by
// chance and because a queue was full.
func (s *Switch) Packets() (passed, lost uint64) { return s.passed.Load(), s.lost.Load() }

// Close ends the switch and waits for that. Nothing passes any more.
func (s *Switch) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		for _, h := range s.hosts {
			h.tun.Close() //nolint:errcheck // a second time, if it has more addresses
		}
		for _, p := range s.paths {
			close(p.held)
		}
	}
	s.mu.Unlock()
	s.ended.Wait()
}
