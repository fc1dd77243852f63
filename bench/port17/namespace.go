package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"

	"safing/internal/netns"
)

// choose sets what the contestants must have in common in a namespace. No link
// here loses packets, so reno never slows down. Linux allows only it and the
// machine's default in a namespace, and that may be bbr, which paces.
func choose(n *netns.Namespace) error {
	return n.Do(func() error {
		if err := os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte("reno"), 0o644); err != nil {
			return fmt.Errorf("choose TCP's congestion control: %w", err)
		}
		return nil
	})
}

// newShared makes a namespace whose loopback device has all hosts' addresses.
func newShared() (*netns.Namespace, error) {
	n, err := netns.New()
	if err != nil {
		return nil, err
	}
	if err := n.Do(shareLoopback); err != nil {
		n.Close()
		return nil, fmt.Errorf("put all hosts on one device: %w", err)
	}
	return n, nil
}

func shareLoopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	// Tor never turns off Nagle's algorithm. With loopback's own MTU, 64 KiB,
	// nearly every write would be a partial segment that waits for a delayed ACK.
	if err := netlink.LinkSetMTU(lo, 1500); err != nil {
		return err
	}
	for _, h := range hosts() {
		address := &netlink.Addr{IPNet: &net.IPNet{IP: h.AsSlice(), Mask: net.CIDRMask(32, 32)}}
		if err := netlink.AddrAdd(lo, address); err != nil {
			return err
		}
	}
	return nil
}

// ip4 is 10.n.0.1: every host is in a /16 of its own, because Port17's routes
// never use two nodes of one.
func ip4(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(n), 0, 1}) }
