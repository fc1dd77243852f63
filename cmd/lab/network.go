package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"safing/netmap"
)

// A network is a running Port17 network.
type network struct {
	name      string
	file      string // the trust anchor, to hand to port17 --network
	authority string // URL of the first
	clients   []*process
	socks     netip.AddrPort // the first client's
	socket    string         // its API
}

// exitPolicy lets the lab's exits reach servers on this machine, which a node
// refuses unless it is told so, those on the hosts, and web sites.
func exitPolicy() []string {
	return []string{"accept 127.0.0.0/8:*", "accept [::1]/128:*", "accept 10.0.0.0/8:*", "web"}
}

// startNetwork starts the authorities, the witnesses, the nodes and the clients.
func (w *world) startNetwork(ctx context.Context, p plan) (*network, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(w.logs()); err != nil {
		return nil, fmt.Errorf("remove the logs of an earlier lab: %w", err)
	}
	if !p.link.Plain() {
		h, err := makeHosts(p.link, p.seed)
		if err != nil {
			return nil, err
		}
		w.hosts = h
	}
	n := &network{name: "lab", file: filepath.Join(w.dir, "network.toml")}
	if err := w.startAuthorities(ctx, n, p.period()); err != nil {
		return nil, err
	}
	if err := w.startNodes(ctx, n, sites(p.nodes, p.exits)); err != nil {
		return nil, err
	}
	for i := range p.clients {
		if err := w.startClient(ctx, n, i, p.socks); err != nil {
			return nil, err
		}
	}
	first := n.clients[0]
	n.socket = first.ready["api"]
	var err error
	if n.socks, err = netip.ParseAddrPort(first.ready["socks"]); err != nil {
		return nil, fmt.Errorf("the client's SOCKS address: %w", err)
	}
	return n, n.awaitLinks(ctx, p.nodes)
}

// startClient starts one; all but the first take free ports.
func (w *world) startClient(ctx context.Context, n *network, i int, socks string) error {
	name := "client"
	if i > 0 {
		name, socks = fmt.Sprint("client", i+1), "127.0.0.1:0"
	}
	h, err := w.hosts.add(clientHost(i))
	if err != nil {
		return err
	}
	p, err := w.startOn(ctx, h, "client", name, "port17", "client", "--network", n.file,
		"--state", filepath.Join(w.dir, name), "--socks", socks, "--wait", startLimit.String())
	if err != nil {
		return err
	}
	n.clients = append(n.clients, p)
	return nil
}

func (w *world) startNodes(ctx context.Context, n *network, all []site) error {
	errs := make([]error, len(all))
	var started sync.WaitGroup
	for i := range all {
		h, err := w.hosts.add(all[i].address(false))
		if err != nil {
			return err
		}
		listen := netip.AddrPortFrom(all[i].address(h == nil), 0)
		started.Go(func() { errs[i] = w.startNode(ctx, n, h, &all[i], listen) })
	}
	started.Wait()
	return errors.Join(errs...)
}

// startNode starts one that listens on the address.
func (w *world) startNode(ctx context.Context, n *network, h *host, s *site, listen netip.AddrPort) error {
	args := []string{
		"node", "--network", n.file, "--state", filepath.Join(w.dir, "nodes", s.name),
		"--listen", listen.String(), "--name", s.name, "--owner", s.owner, "--group", s.owner, "--drain", "0s",
		"--country", s.country, "--asn", strconv.FormatUint(uint64(s.asn), 10),
	}
	policy := []string{"none"}
	if s.exit {
		policy = exitPolicy()
	}
	for _, rule := range policy {
		args = append(args, "--exit-policy="+rule)
	}
	p, err := w.startOn(ctx, h, "node", s.name, "port17", args...)
	if err != nil {
		return err
	}
	p.site = s
	if _, err := netmap.ParseNodeID(p.ready["id"]); err != nil {
		return fmt.Errorf("node %s: %w", s.name, err)
	}
	return nil
}
