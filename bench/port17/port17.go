package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	authorityPort   = 8120
	nodePort        = 1717
	socksPort       = 1080
	exitConnections = 10_240 // room for manyStreams
)

// startPort17 starts a network of Port17: an authority, seven nodes, each of
// another owner and the last one an exit, and clients. Each is a process.
func (a *arena) startPort17(ctx context.Context, clients int) (*contestant, error) {
	dir := filepath.Join(a.bench.dir, a.name)
	network := filepath.Join(dir, "network.toml")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	authority := netip.AddrPortFrom(authorityHost, authorityPort).String()
	if err := a.runPort17("authority", "init", "--state", filepath.Join(dir, "authority"),
		"--network", "bench", "--url", "http://"+authority, "--out", network, "--private-addresses"); err != nil {
		return nil, err
	}
	if _, err := a.startReady(ctx, authorityHost, "authority", "authority", "run",
		"--state", filepath.Join(dir, "authority"), "--listen", authority); err != nil {
		return nil, err
	}
	c := &contestant{name: namePort17, arena: a, target: target{Addr: destinationAddress}}
	nodes, err := a.startNodes(ctx, network)
	if err != nil {
		return nil, err
	}
	c.relays, c.carriers, c.exits = nodes, slices.Clone(nodes), nodes[relays-1:]
	for i := range clients {
		socks := fmt.Sprintf("127.0.0.1:%d", socksPort+i)
		name := fmt.Sprintf("client%d", i+1)
		p, err := a.startReady(ctx, clientHost, name, "client", "--network", network,
			"--state", filepath.Join(dir, name), "--socks", socks, "--ahead", "0", "--wait", startLimit.String())
		if err != nil {
			return nil, err
		}
		c.carriers = append(c.carriers, p)
		c.sockets = append(c.sockets, socks)
	}
	c.target.Socks = c.sockets[0]
	return c, nil
}

// runPort17 runs one of port17's commands to its end.
func (a *arena) runPort17(args ...string) error {
	out, err := exec.Command(a.bench.port17, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("port17 %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}

func (a *arena) startReady(ctx context.Context, host netip.Addr, name string, args ...string) (*process, error) {
	p, err := a.start(host, name, a.bench.port17, args...)
	if err != nil {
		return nil, err
	}
	return p, p.ready(ctx)
}

func (a *arena) startNodes(ctx context.Context, network string) ([]*process, error) {
	nodes, errs := make([]*process, relays), make([]error, relays)
	var started sync.WaitGroup
	for i := range relays {
		started.Go(func() {
			name := "node" + strconv.Itoa(i+1)
			policy := "none"
			if i == relays-1 {
				policy = "accept 10.0.0.0/8:*" // where the destination is
			}
			nodes[i], errs[i] = a.startReady(ctx, relayHost(i), name, "node", "--network", network,
				"--state", filepath.Join(filepath.Dir(network), name),
				"--listen", netip.AddrPortFrom(relayHost(i), nodePort).String(),
				"--name", name, "--owner", "owner"+strconv.Itoa(i+1), "--exit-policy="+policy,
				"--max-connections", strconv.Itoa(exitConnections), "--drain", "0s")
		})
	}
	started.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return nodes, nil
}
