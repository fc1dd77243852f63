package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/authority"
	"safing/tinker/keyfile"
)

type authorityCommand struct {
	Init    authorityInit    `cmd:"" help:"Make the key of a new network's authority, and the network's file."`
	Network authorityNetwork `cmd:"" help:"Make one network's file of those of several authorities."`
	Run     authorityRun     `cmd:"" help:"Gather descriptors and make maps."`

	Suspend    authoritySuspend    `cmd:"" help:"Say that a node should not be on the map."`
	Restore    authorityRestore    `cmd:"" help:"Take back what suspend has said."`
	Trust      authorityTrust      `cmd:"" help:"Say that a node's operator is known and trusted."`
	Distrust   authorityDistrust   `cmd:"" help:"Take back what trust has said."`
	Canary     authorityCanary     `cmd:"" help:"Say that you are free, for a time, or no longer."`
	Statements authorityStatements `cmd:"" help:"Print what operators of authorities have said, of which the map has all."`
}

// The files in an authority's folder.
const (
	authorityKey     = "authority.key"
	authorityNetFile = "network.toml"
)

type authorityInit struct {
	State   string `help:"Folder of the authority." default:"/var/lib/port17/authority" type:"path" placeholder:"DIR"`
	Network string `help:"Name of the network." required:"" placeholder:"NAME"`
	URL     string `help:"Where nodes and clients will reach the authority." required:"" placeholder:"URL"`
	Private bool   `help:"Let nodes have addresses that are not public, as in a lab or a company's network." name:"private-addresses"`
	Out     string `help:"Where to write the network's file, which nodes and clients need." default:"network.toml" type:"path" placeholder:"FILE"`
	newPassphrase
}

// Help is what --help says besides the flags.
func (*authorityInit) Help() string {
	return "A network may have several authorities, of which most have to agree on every map. Each is set up by its own " +
		"operator on a machine of its own, with the same --network and another --url. Then one of the operators makes the " +
		"network's file of all of theirs with port17 authority network, and all start with it."
}

// Run makes the key. It never replaces one: every node and client would have to
// get another network file.
func (c *authorityInit) Run(ctx context.Context, io command.IO) error {
	path := filepath.Join(c.State, authorityKey)
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s already holds the key of an authority: name another folder with --state", c.State)
	}
	passphrase, err := c.choose(ctx, io, path)
	if err != nil {
		return err
	}
	key, verifier, err := authority.GenerateKey(c.Network)
	if err != nil {
		return err
	}
	network := &netmap.Network{
		Name: c.Network, Threshold: 1, PrivateAddresses: c.Private,
		Authorities: []netmap.Authority{{URL: c.URL, Key: verifier}},
	}
	if err := network.Save(c.Out); err != nil {
		return err
	}
	if err := os.MkdirAll(c.State, 0o700); err != nil {
		return err
	}
	if err := network.Save(filepath.Join(c.State, authorityNetFile)); err != nil {
		return err
	}
	if err := keyfile.Save(path, key, keyfile.Options{Passphrase: passphrase}); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "The network's file is %s: give it to nodes and clients.\nThe authority's key is %s: keep it secret, and a copy of it safe.\n", c.Out, path)
	return nil
}

type authorityRun struct {
	State   string `help:"Folder of the authority." default:"/var/lib/port17/authority" type:"path" placeholder:"DIR"`
	Network string `help:"The network's file, which names this authority. Without it, the one that init has left in the folder: of a network without other authorities." type:"path" placeholder:"FILE"`
	Listen  string `help:"Address and port on which nodes, clients and other authorities are answered." default:"127.0.0.1:8120" placeholder:"ADDR"`
	Verbose bool   `help:"Log what a developer wants to see." short:"v"`
	passphraseFile
}

// Help is what --help says besides the flags.
func (*authorityRun) Help() string {
	return "How often there is a map and how long it is valid is set in the network's file, with period = \"10m\" and " +
		"validity = \"3h\". An authority that is alone also makes a map soon after a change.\n\n" +
		"The clocks of a network's authorities have to agree within a few seconds: run a time service."
}

// Run serves until ctx ends.
func (c *authorityRun) Run(ctx context.Context, io command.IO) error {
	key, err := c.key()
	if err != nil {
		return err
	}
	if c.Network == "" {
		c.Network = filepath.Join(c.State, authorityNetFile)
	}
	network, err := netmap.LoadNetwork(c.Network)
	if err != nil {
		return err
	}
	log := logTo(io, c.Verbose)
	l, err := command.Listen(c.Listen, "--listen")
	if err != nil {
		return err
	}
	a, err := authority.New(ctx, authority.Config{Network: network, Key: key, State: c.State, Log: log})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	fmt.Fprintf(io.Out, "ready http=%s\n", l.Addr())
	return errors.Join(serveHTTP(ctx, l, a.Handler(), log), a.Close())
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
