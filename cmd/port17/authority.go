package main

import (
	"context"
	"fmt"
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

	Suspend  authoritySuspend  `cmd:"" help:"Say that a node should not be on the map."`
	Restore  authorityRestore  `cmd:"" help:"Take back what suspend has said."`
	Trust    authorityTrust    `cmd:"" help:"Say that a node's operator is known and trusted."`
	Distrust authorityDistrust `cmd:"" help:"Take back what trust has said."`
	Canary   authorityCanary   `cmd:"" help:"Say that you are free, for a time, or no longer."`

	Policy authorityPolicy `cmd:"" help:"Say which suites of algorithms the network may use."`
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
	fmt.Fprintf(io.Out, "The network's file is %s: give it to nodes and clients, or, if there are other authorities, to who runs port17 authority network.\n"+
		"The authority's key is %s: keep it secret, and a copy of it safe.\n", c.Out, path)
	return nil
}
