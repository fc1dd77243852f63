package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/audit"
)

type mapDiff struct {
	Old     string `arg:"" help:"File of the older map, or its number."`
	New     string `arg:"" optional:"" help:"File or number of the newer one; without it, the newest map is fetched."`
	Network string `help:"The network's file, which says who has to sign." required:"" type:"existingfile" placeholder:"FILE"`
	All     bool   `help:"Print too what changes all the time: loads, capacities, round trips and paths of links."`
	JSON    bool   `help:"Print JSON." name:"json"`
}

// Help is what --help says besides the flags.
func (*mapDiff) Help() string {
	return `Prints which nodes have joined and left, what of the others has changed (such as exit policies and flags), which links have come and gone, and what operators of authorities say now or no longer. Both maps have to be signed as the network's file says; they may be out of date.

A client keeps the newest map in its folder, as map, and port17 map verify --save fetches one. Of a number it is fetched; authorities keep about 20 old ones. That both are of one log is for port17 map verify --against to prove.

Examples:

  port17 map diff --network network.toml yesterday

  port17 map diff --network network.toml 1200 1212`
}

// Run prints the difference.
func (c *mapDiff) Run(ctx context.Context, io command.IO) error {
	n, err := netmap.LoadNetwork(c.Network)
	if err != nil {
		return err
	}
	maps := make([]*netmap.Map, 2)
	for i, path := range []string{c.Old, c.New} {
		r, _, err := checkMap(ctx, n, path, time.Now())
		if err != nil {
			return err
		}
		if maps[i], err = usable(r, path); err != nil {
			return err
		}
	}
	d := audit.Compare(n, maps[0], maps[1], c.All)
	if c.JSON {
		return printJSON(io.Out, d)
	}
	return printDiff(io.Out, d)
}

func printDiff(out io.Writer, d audit.Diff) error {
	fmt.Fprintf(out, "%s, map %d and map %d, %s later\n", d.Network, d.Old, d.New, d.To.Sub(d.From))
	if d.Empty() {
		fmt.Fprintln(out, "Nothing has changed.")
		return nil
	}
	fmt.Fprintln(out)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	node := func(what string, n audit.NodeRef) {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", what, n.Name, n.ID.Short(), n.Owner, n.Country)
	}
	for _, n := range d.Joined {
		node("joined", n)
	}
	for _, n := range d.Left {
		node("left", n)
	}
	for _, c := range d.Changed {
		for _, f := range c.Fields {
			fmt.Fprintf(t, "changed\t%s\t%s\t%s: %s → %s\n", c.Name, c.ID.Short(), f.Name, cmp.Or(f.Old, "none"), cmp.Or(f.New, "none"))
		}
	}
	link := func(what string, l audit.LinkRef) {
		fmt.Fprintf(t, "%s\t%s\t%s\twith %s %s, %s\n", what, l.A.Name, l.A.ID.Short(), l.B.Name, l.B.ID.Short(), l.RTT.Round(10*time.Microsecond))
	}
	for _, l := range d.Linked {
		link("linked", l)
	}
	for _, l := range d.Unlinked {
		link("unlinked", l)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range d.Said {
		fmt.Fprintf(out, "said       %s\n", statementText(s))
	}
	for _, s := range d.Unsaid {
		fmt.Fprintf(out, "withdrawn  %s\n", statementText(s))
	}
	return nil
}

func statementText(s audit.StateRef) string {
	text := s.Says
	if s.Node != nil {
		text += " " + nodeText(s.Node.ID, s.Node.Name) + ": " + s.Reason
	}
	if s.Authority != "" {
		text = s.Authority + " on " + date(s.Date) + ": " + text
	}
	return text
}
