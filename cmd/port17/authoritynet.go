package main

import (
	"context"
	"fmt"

	"safing/internal/command"
	"safing/internal/settings"
	"safing/netmap"
)

type authorityNetwork struct {
	Files     []string `arg:"" help:"The files that port17 authority init has written, of all authorities." type:"existingfile"`
	Threshold int      `help:"How many of the authorities have to agree; more than half of them. Without it, the fewest that are possible." placeholder:"K"`
	Witness   []string `help:"What port17 witness init has printed, in a file. May be repeated." type:"existingfile" sep:"none" placeholder:"FILE"`
	Witnesses int      `help:"How many of the witnesses have to have seen the log that a map is in. Without it, more than half of them, so that any two maps have been seen by one of them." name:"witness-threshold" placeholder:"N"`
	Out       string   `help:"Where to write the network's file." default:"network.toml" type:"path" placeholder:"FILE"`
}

// Help is what --help says besides the flags.
func (*authorityNetwork) Help() string {
	return "All authorities, witnesses, nodes and clients of a network need the same file. Start each authority with it: " +
		"port17 authority run --network FILE.\n\n" +
		"With 3 authorities of which 2 have to agree, one may fail or be hostile; with 5 and 3, two. Witnesses, " +
		"mirrors and times of the first file are kept.\n\n" +
		"Example: port17 authority network alpha.toml beta.toml gamma.toml --witness w1.toml --witness w2.toml --witness w3.toml"
}

// Run merges the files.
func (c *authorityNetwork) Run(_ context.Context, io command.IO) error {
	merged, err := c.merge()
	if err != nil {
		return err
	}
	if err := c.addWitnesses(merged); err != nil {
		return err
	}
	all := len(merged.Authorities)
	if merged.Threshold = c.Threshold; c.Threshold == 0 {
		merged.Threshold = majority(all)
	}
	if merged.Threshold < majority(all) {
		return fmt.Errorf("--threshold=%d of %d authorities: more than half of them have to agree", merged.Threshold, all)
	}
	if err := merged.Save(c.Out); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "The network's file is %s: give it to all authorities, nodes and clients.\n%d of %d authorities have to agree: %d may fail.\n",
		c.Out, merged.Threshold, all, all-merged.Threshold)
	if seen := len(merged.Witnesses); seen > 0 {
		fmt.Fprintf(io.Out, "%d of %d witnesses have to have seen a map's log: %d may fail. They need the file, too.\n",
			merged.WitnessThreshold, seen, seen-merged.WitnessThreshold)
	}
	return nil
}

func (c *authorityNetwork) merge() (merged *netmap.Network, err error) {
	for _, file := range c.Files {
		n, err := netmap.LoadNetwork(file)
		if err != nil {
			return nil, err
		}
		if merged == nil {
			merged = n
			continue
		}
		if n.Name != merged.Name {
			return nil, fmt.Errorf("%s is of the network %s, and %s of %s: they have to be of the same one", c.Files[0], merged.Name, file, n.Name)
		}
		if n.PrivateAddresses != merged.PrivateAddresses {
			return nil, fmt.Errorf("%s and %s do not agree on private_addresses: all have to be made with --private-addresses, or none", c.Files[0], file)
		}
		merged.Authorities = append(merged.Authorities, n.Authorities...)
	}
	return merged, nil
}

// addWitnesses adds those that the command line names.
func (c *authorityNetwork) addWitnesses(n *netmap.Network) error {
	for _, file := range c.Witness {
		var printed struct {
			Witnesses []netmap.Witness `toml:"witness"`
		}
		if err := settings.Load(file, &printed); err != nil {
			return fmt.Errorf("--witness: %w", err)
		}
		n.Witnesses = append(n.Witnesses, printed.Witnesses...)
	}
	switch {
	case c.Witnesses != 0:
		n.WitnessThreshold = c.Witnesses
	case len(c.Witness) > 0:
		n.WitnessThreshold = majority(len(n.Witnesses))
	}
	return nil
}

// majority is the least number that is more than half of all.
func majority(all int) int { return all/2 + 1 }
