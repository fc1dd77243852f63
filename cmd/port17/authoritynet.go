package main

import (
	"context"
	"fmt"

	"safing/internal/command"
	"safing/netmap"
)

type authorityNetwork struct {
	Files     []string `arg:"" help:"The files that port17 authority init has written, of all authorities." type:"existingfile"`
	Threshold int      `help:"How many of the authorities have to agree; more than half of them. Without it, the fewest that are possible." placeholder:"K"`
	Out       string   `help:"Where to write the network's file." default:"network.toml" type:"path" placeholder:"FILE"`
}

// Help is what --help says besides the flags.
func (*authorityNetwork) Help() string {
	return "All authorities, nodes and clients of a network need the same file. Start each authority with it: " +
		"port17 authority run --network FILE.\n\n" +
		"With 3 authorities of which 2 have to agree, one may fail or be hostile; with 5 and 3, two. Witnesses, " +
		"mirrors and times of the first file are kept: see port17 witness init."
}

// Run merges the files.
func (c *authorityNetwork) Run(_ context.Context, io command.IO) error {
	var merged *netmap.Network
	for _, file := range c.Files {
		n, err := netmap.LoadNetwork(file)
		if err != nil {
			return err
		}
		if merged == nil {
			merged = n
			continue
		}
		if n.Name != merged.Name {
			return fmt.Errorf("%s is of the network %s, and %s of %s: they have to be of the same one", c.Files[0], merged.Name, file, n.Name)
		}
		if n.PrivateAddresses != merged.PrivateAddresses {
			return fmt.Errorf("%s and %s do not agree on private_addresses: all have to be made with --private-addresses, or none", c.Files[0], file)
		}
		merged.Authorities = append(merged.Authorities, n.Authorities...)
	}
	all := len(merged.Authorities)
	if merged.Threshold = c.Threshold; c.Threshold == 0 {
		merged.Threshold = all/2 + 1
	}
	if 2*merged.Threshold <= all {
		return fmt.Errorf("--threshold=%d of %d authorities: more than half of them have to agree", merged.Threshold, all)
	}
	if err := merged.Save(c.Out); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "The network's file is %s: give it to all authorities, nodes and clients.\n%d of %d authorities have to agree: %d may fail.\n",
		c.Out, merged.Threshold, all, all-merged.Threshold)
	return nil
}
