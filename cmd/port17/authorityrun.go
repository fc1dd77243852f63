package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"safing/internal/command"
	"safing/internal/systemd"
	"safing/netmap"
	"safing/port17/authority"
	"safing/port17/probe"
	"safing/tinker/keyfile"
)

type authorityRun struct {
	State   string `help:"Folder of the authority." default:"/var/lib/port17/authority" type:"path" placeholder:"DIR"`
	Network string `help:"The network's file, which names this authority. It is kept in the folder for the next time, and for what the operator says. Without it, the one in the folder; init leaves one of a network without other authorities." type:"path" placeholder:"FILE"`
	Listen  string `help:"Address and port on which nodes, clients and other authorities are answered." default:"127.0.0.1:8120" placeholder:"ADDR"`

	Probe        bool     `help:"Test whether nodes can be reached, and leave out those that can't. On unless --no-probe." default:"true" negatable:""`
	ProbeListen  []string `help:"Address and port on which exits are to reach a small server of this authority, so that it can test what exits do, and measure what all nodes can carry: 443 is a port to which most lead. May be repeated." sep:"none" placeholder:"ADDR"`
	ProbeAddress []string `help:"How exits reach that server, if not at --probe-listen: address or name, and port. May be repeated." sep:"none" placeholder:"ADDR"`
	ProbeBudget  amount   `help:"How much is moved to measure nodes in each 10 minutes; it passes this machine twice." default:"1GB" placeholder:"BYTES"`

	Verbose bool `help:"Log what a developer wants to see." short:"v"`
	passphraseFile
}

// Help is what --help says besides the flags.
func (*authorityRun) Help() string {
	return "How often there is a map and how long it is valid is set in the network's file, with period = \"10m\" and " +
		"validity = \"3h\". An authority that is alone also makes a map soon after a change.\n\n" +
		"The clocks of a network's authorities have to agree within a few seconds: run a time service.\n\n" +
		"A policy of suites, which port17 authority policy sign has made, goes into the file \"policy\" of the folder. " +
		"The newest that enough of the authorities have signed is on the map."
}

// Run serves until ctx ends.
func (c *authorityRun) Run(ctx context.Context, io command.IO) (err error) {
	key, err := c.key()
	if err != nil {
		return err
	}
	if c.Network == "" {
		c.Network = filepath.Join(c.State, authorityNetFile)
	}
	network, err := netmap.LoadNetwork(c.Network)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: name the network's file with --network", err)
	}
	if err != nil {
		return err
	}
	log := logTo(io, c.Verbose)
	l, err := command.Listen(c.Listen, "--listen")
	if err != nil {
		return err
	}
	config := authority.Config{Network: network, Key: key, State: c.State, Log: log}
	if c.Probe {
		scanner, end, failed := c.scanner(ctx, network, log)
		if failed != nil {
			return errors.Join(failed, l.Close())
		}
		config.Scanner = scanner
		defer func() { err = errors.Join(err, end()) }()
	}
	a, err := authority.New(ctx, config)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if err := network.Save(filepath.Join(c.State, authorityNetFile)); err != nil {
		return errors.Join(err, l.Close(), a.Close())
	}
	fmt.Fprintf(io.Out, "ready http=%s\n", l.Addr())
	notify(systemd.Ready, log)
	err = serveHTTP(ctx, l, a.Handler(), log)
	notify(systemd.Stopping, log)
	return errors.Join(err, a.Close())
}

// scanner returns what tests nodes, and what ends it once it does not run.
func (c *authorityRun) scanner(ctx context.Context, network *netmap.Network, log *slog.Logger) (*probe.Scanner, func() error, error) {
	var server *probe.Server
	if len(c.ProbeListen) == 0 && len(c.ProbeAddress) > 0 {
		return nil, nil, errors.New("--probe-address says how exits reach a server that there is not: give --probe-listen, too")
	}
	if len(c.ProbeListen) > 0 {
		var err error
		if server, err = probe.NewServer(ctx, probe.ServerConfig{Listen: c.ProbeListen, Addresses: c.ProbeAddress}); err != nil {
			return nil, nil, fmt.Errorf("--probe-listen: %w", err)
		}
	}
	endServer := func() error {
		if server == nil {
			return nil
		}
		return server.Close()
	}
	period, _ := network.Times()
	s, err := probe.NewScanner(ctx, probe.ScannerConfig{
		Prober: probe.New(probe.Config{Server: server}), State: c.State, Budget: int64(c.ProbeBudget),
		Look: min(time.Second, period/20), Log: log,
	})
	if err != nil {
		return nil, nil, errors.Join(err, endServer())
	}
	return s, func() error { return errors.Join(s.Close(), endServer()) }, nil
}

func (c *authorityRun) key() (ed25519.PrivateKey, error) {
	passphrase, err := c.passphrase()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(c.State, authorityKey)
	key, err := keyfile.Load[ed25519.PrivateKey](path, passphrase)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s holds no key of an authority: make one with port17 authority init", c.State)
	}
	return key, advise(err, path)
}
