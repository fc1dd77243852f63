package main

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"safing/internal/netns"
	"safing/internal/wan"
)

const relays = 7 // of each network: as many as a small Tor network needs

// The hosts.
var (
	clientHost    = ip4(101)
	serverHost    = ip4(102)
	authorityHost = ip4(103) // Port17's; Tor's are relays too
)

func relayHost(i int) netip.Addr { return ip4(i + 1) }

func hosts() []netip.Addr {
	all := []netip.Addr{clientHost, serverHost, authorityHost}
	for i := range relays {
		all = append(all, relayHost(i))
	}
	return all
}

// destinationPort is the destination's, at serverHost.
const destinationPort = 8080

var destinationAddress = netip.AddrPortFrom(serverHost, destinationPort).String()

// An arena is the hosts of one network and what runs on them.
type arena struct {
	name  string
	bench *bench
	hosts map[netip.Addr]*netns.Namespace
	net   *wan.Switch // nil if the hosts share a namespace

	mu      sync.Mutex
	running []*process
}

// newArena makes the hosts and starts the destination. Without a delay they
// share a namespace, with one each has its own.
func (b *bench) newArena(name string, delay time.Duration) (*arena, error) {
	a := &arena{name: name, bench: b, hosts: map[netip.Addr]*netns.Namespace{}}
	build := a.buildShared
	if delay > 0 {
		a.net = wan.New(wan.Link{Delay: delay}, 0)
		build = a.buildDelayed
	}
	err := build()
	if err == nil {
		_, err = a.startRole(serverHost, "destination", "serve", destinationAddress)
	}
	if err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

func (a *arena) buildShared() error {
	n, err := newShared()
	if err != nil {
		return err
	}
	for _, h := range hosts() {
		a.hosts[h] = n
	}
	return choose(n)
}

func (a *arena) buildDelayed() error {
	for _, h := range hosts() {
		n, err := a.net.Add(h)
		if err != nil {
			return err
		}
		a.hosts[h] = n
		if err := choose(n); err != nil {
			return err
		}
	}
	return nil
}

// start runs a program on a host.
func (a *arena) start(host netip.Addr, name, program string, args ...string) (*process, error) {
	p, err := a.bench.crew.start(a.hosts[host], a.name+"-"+name, program, args...)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running = append(a.running, p)
	return p, nil
}

// startRole runs another role of this program on a host.
func (a *arena) startRole(host netip.Addr, name string, args ...string) (*process, error) {
	return a.start(host, name, "/proc/self/exe", args...)
}

// close stops what runs on the hosts, and ends them. Nothing may start there
// any more.
func (a *arena) close() {
	for _, p := range slices.Backward(a.running) {
		a.bench.crew.stop(p)
	}
	if a.net != nil {
		a.net.Close()
	}
	var closed []*netns.Namespace
	for _, n := range a.hosts {
		if !slices.Contains(closed, n) {
			closed = append(closed, n)
			n.Close()
		}
	}
}
