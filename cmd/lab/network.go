package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"

	"safing/netmap"
)

// A site is where a node of the lab pretends to stand. Each has a loopback
// address in a /16 of its own, because routes never use two nodes of one.
type site struct {
	name, owner, country string
	asn                  uint32
	address              string
	exit                 bool
}

// sites are seven nodes of four owners in five countries. Every owner runs an
// exit, so that a route remains when one of them fails.
func sites() []site {
	return []site{
		{"alder", "ada", "DE", 64501, "127.11.0.1", false},
		{"birch", "ada", "FR", 64502, "127.12.0.1", true},
		{"cedar", "ben", "NL", 64503, "127.13.0.1", false},
		{"dogwood", "ben", "SE", 64504, "127.14.0.1", true},
		{"elm", "cleo", "CH", 64505, "127.15.0.1", false},
		{"fir", "cleo", "DE", 64501, "127.16.0.1", true},
		{"ginkgo", "dan", "NL", 64503, "127.17.0.1", true},
	}
}

// exitPolicy lets the lab's exits reach servers on this machine, which a node
// refuses unless it is told so, and web sites.
func exitPolicy() []string {
	return []string{"accept 127.0.0.0/8:*", "accept [::1]/128:*", "web"}
}

// A network is a running Port17 network.
type network struct {
	name      string
	file      string // the trust anchor, to hand to port17 --network
	authority string
	socks     netip.AddrPort
	socket    string // the client's API
}

// startNetwork starts the authority, the nodes and the client in dir.
func (w *world) startNetwork(ctx context.Context, socks string) (*network, error) {
	n := &network{name: "lab", file: filepath.Join(w.dir, "network.toml")}
	authority := filepath.Join(w.dir, "authority")
	address, err := w.startAuthority(ctx, n, authority)
	if err != nil {
		return nil, err
	}
	n.authority = "http://" + address
	if err := w.startNodes(ctx, n); err != nil {
		return nil, err
	}
	client, err := w.start(ctx, "client", "client", "port17", "client",
		"--network", n.file, "--state", filepath.Join(w.dir, "client"), "--socks", socks)
	if err != nil {
		return nil, err
	}
	n.socket = client.ready["api"]
	n.socks, err = netip.ParseAddrPort(client.ready["socks"])
	if err != nil {
		return nil, fmt.Errorf("the client's SOCKS address: %w", err)
	}
	return n, nil
}

// startAuthority takes a free port, names it in the network's file, and
// starts the authority there. Its key stays the same from one start to the
// next, as the folder's owner would expect of a network.
func (w *world) startAuthority(ctx context.Context, n *network, state string) (string, error) {
	address, err := freeAddress()
	if err != nil {
		return "", err
	}
	trust, err := netmap.LoadNetwork(n.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		_, err = w.run(ctx, "port17", "authority", "init",
			"--state", state, "--network", n.name, "--url", "http://"+address, "--out", n.file, "--private-addresses")
	case err == nil:
		trust.Authorities[0].URL = "http://" + address
		trust.PrivateAddresses = true // in a file of an older lab
		err = trust.Save(n.file)
	}
	if err != nil {
		return "", err
	}
	_, err = w.start(ctx, "authority", "authority", "port17", "authority", "run", "--state", state, "--listen", address, "--private-addresses")
	return address, err
}

func (w *world) startNodes(ctx context.Context, n *network) error {
	all := sites()
	errs := make([]error, len(all))
	var started sync.WaitGroup
	for i, s := range all {
		started.Go(func() { errs[i] = w.startNode(ctx, n, s) })
	}
	started.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *world) startNode(ctx context.Context, n *network, s site) error {
	args := []string{
		"node", "--network", n.file, "--state", filepath.Join(w.dir, "nodes", s.name),
		"--listen", s.address + ":0", "--name", s.name, "--owner", s.owner, "--group", s.owner,
		"--country", s.country, "--asn", strconv.FormatUint(uint64(s.asn), 10),
	}
	policy := []string{"none"}
	if s.exit {
		policy = exitPolicy()
	}
	for _, rule := range policy {
		args = append(args, "--exit-policy="+rule)
	}
	p, err := w.start(ctx, "node", s.name, "port17", args...)
	if err != nil {
		return err
	}
	if _, err := netmap.ParseNodeID(p.ready["id"]); err != nil {
		return fmt.Errorf("node %s: %w", s.name, err)
	}
	return nil
}
