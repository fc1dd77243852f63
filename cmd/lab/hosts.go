package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"safing/internal/netns"
	"safing/internal/wan"
)

// A host is a machine of a network whose links are not loopback's.
type host struct {
	addr  netip.Addr
	netns *netns.Namespace
}

// do runs f on the host. A nil host is the machine itself.
func (h *host) do(f func() error) error {
	if h == nil {
		return f()
	}
	return h.netns.Do(f)
}

// hosts are all of a network, and what joins them.
type hosts struct {
	link   wan.Link
	seed   uint64
	wan    *wan.Switch
	server *host // for destinations
	all    []*host
}

// Addresses besides those of nodes, which are 10.11.0.1 and more.
var serverHost = netip.AddrFrom4([4]byte{10, 3, 0, 1})

func authorityHost(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(i), 1}) }
func clientHost(i int) netip.Addr    { return netip.AddrFrom4([4]byte{10, 2, byte(i), 1}) }
func witnessHost(i int) netip.Addr   { return netip.AddrFrom4([4]byte{10, 4, byte(i), 1}) }

// makeHosts makes the one for destinations; others are added as they are used.
func makeHosts(l wan.Link, seed uint64) (*hosts, error) {
	if err := netns.Available(); err != nil {
		return nil, fmt.Errorf("%w: run this as root, or leave --delay, --loss and --rate out", err)
	}
	h := &hosts{link: l, seed: seed, wan: wan.New(l, seed)}
	server, err := h.add(serverHost)
	if err != nil {
		h.close()
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: links with a delay, loss or rate need TUN devices", err)
		}
		return nil, err
	}
	h.server = server
	return h, nil
}

// add makes a host. Without hosts it is nil: the machine itself.
func (h *hosts) add(addr netip.Addr) (*host, error) {
	if h == nil {
		return nil, nil
	}
	n, err := h.wan.Add(addr)
	if err != nil {
		return nil, err
	}
	h.all = append(h.all, &host{addr, n})
	return h.all[len(h.all)-1], nil
}

// close removes all hosts. What runs on them must have ended.
func (h *hosts) close() {
	if h == nil {
		return
	}
	h.wan.Close()
	for _, host := range h.all {
		host.netns.Close()
	}
}
