package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A delaySwitch joins hosts, each a namespace with a TUN device, and holds
// every IP packet for a fixed time: netem in user space, without loss or a
// bandwidth limit. TCP segments of up to 64 KiB pass whole, so it costs little.
type delaySwitch struct {
	delay time.Duration // one way
	ended sync.WaitGroup

	mu     sync.Mutex
	hosts  map[netip.Addr]*os.File // TUN devices
	pipes  map[[2]netip.Addr]chan heldPacket
	closed bool
}

type heldPacket struct {
	due  time.Time
	data []byte
}

const (
	vnetHeader = 10      // virtio_net_hdr: how the kernel is to cut segments
	pipeLength = 1 << 16 // packets under way between two hosts
)

func newDelaySwitch(delay time.Duration) *delaySwitch {
	return &delaySwitch{delay: delay, hosts: map[netip.Addr]*os.File{}, pipes: map[[2]netip.Addr]chan heldPacket{}}
}

// add makes a host with the address.
func (d *delaySwitch) add(addr netip.Addr) (*namespace, error) {
	n, err := newNamespace()
	if err != nil {
		return nil, err
	}
	var tun *os.File
	if err := n.run(func() (err error) { tun, err = openTUN("wan"); return err }); err != nil {
		n.close()
		return nil, err
	}
	if err := n.shell("ip link set lo up", fmt.Sprintf("ip addr add %s/8 dev wan", addr), "ip link set wan txqueuelen 20000 up"); err != nil {
		tun.Close()
		n.close()
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hosts[addr] = tun
	d.ended.Go(func() { d.read(addr, tun) })
	return n, nil
}

func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make a TUN device: %w", err)
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("offload on a TUN device: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// read takes what one host sends, until its device is closed.
func (d *delaySwitch) read(from netip.Addr, tun *os.File) {
	buf := make([]byte, vnetHeader+1<<16)
	for {
		n, err := tun.Read(buf)
		if err != nil {
			return
		}
		to, ok := destination(buf[vnetHeader:max(n, vnetHeader)])
		if !ok {
			continue
		}
		d.hold(from, to, heldPacket{time.Now().Add(d.delay), append([]byte(nil), buf[:n]...)})
	}
}

// destination reads it from an IPv4 header (RFC 791, 3.1).
func destination(packet []byte) (netip.Addr, bool) {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom4([4]byte(packet[16:20])), true
}

// hold hands a packet to the pipe between two hosts. A full pipe drops, as a
// router does.
func (d *delaySwitch) hold(from, to netip.Addr, p heldPacket) {
	d.mu.Lock()
	defer d.mu.Unlock()
	tun := d.hosts[to]
	if tun == nil || d.closed {
		return
	}
	key := [2]netip.Addr{from, to}
	pipe := d.pipes[key]
	if pipe == nil {
		pipe = make(chan heldPacket, pipeLength)
		d.pipes[key] = pipe
		d.ended.Go(func() {
			for p := range pipe {
				time.Sleep(time.Until(p.due))
				tun.Write(p.data) //nolint:errcheck // what the host cannot take is lost
			}
		})
	}
	select {
	case pipe <- p:
	default:
	}
}

// close ends the switch and waits for that.
func (d *delaySwitch) close() {
	d.mu.Lock()
	d.closed = true
	for _, tun := range d.hosts {
		tun.Close()
	}
	for _, pipe := range d.pipes {
		close(pipe)
	}
	d.mu.Unlock()
	d.ended.Wait()
}

// ip4 is 10.n.0.1: every host is in a /16 of its own, because Port17's routes
// never use two nodes of one.
func ip4(n int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 10<<24|uint32(n)<<16|1)
	return netip.AddrFrom4(b)
}
