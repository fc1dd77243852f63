package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/audit"
	"safing/port17/client"
)

type mapShow struct {
	Nodes []string `arg:"" optional:"" name:"node" help:"Print all that is known of these nodes: names, or IDs or their beginnings." placeholder:"NODE"`
	source
	File    string   `help:"Read the map from this file, and ask nobody; with --network. It may be out of date." type:"existingfile" placeholder:"MAP"`
	Owner   []string `help:"Only nodes of this owner: a name, or a key. May be repeated." sep:"none" placeholder:"NAME"`
	Country []string `help:"Only nodes in this country. May be repeated." placeholder:"CODE"`
	Exit    string   `help:"Only exits that connect to this destination, such as example.org:443 or 192.0.2.1." placeholder:"DEST"`
	Flag    []string `help:"Only nodes of which this is said: ${enum}. May be repeated." enum:"trusted,bad-exit,closed,exit,moderated" placeholder:"FLAG"`
}

// Help is what --help says besides the flags.
func (*mapShow) Help() string {
	return `Without an option, a running client is asked for the map that it uses; with --network, the network's authorities and mirrors. Nothing else about the client is printed.

The capacity is what authorities have measured, and the load what the node says, in percent. Flags: trusted, whose operator the authorities have examined; bad-exit, which was seen to change or refuse what it allows; closed, which takes no new circuits; exit. EXIT is the exit policy. After the nodes comes what the operators of authorities say: their canaries, and what they say of nodes, with the node's answer. What too few authorities say does not happen.

With NODE, everything is printed that the map has of these nodes, and their links: round trip, and which networks (AS) and countries each crosses. "ends" means that the path was not traced, so that only the ends are known.

Examples:

  port17 map

  port17 map cedar

  port17 map show --country DE --exit example.org:443 --flag trusted

  port17 map show --network network.toml --file map --json`
}

// Run prints the map.
func (c *mapShow) Run(ctx context.Context, io command.IO) error {
	v, err := c.view(ctx, io)
	if err != nil {
		return err
	}
	if err := c.filter(&v); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(io.Out, v)
	}
	if len(c.Nodes) > 0 {
		return printNodes(io.Out, v)
	}
	return printMap(io.Out, v)
}

func (c *mapShow) view(ctx context.Context, io command.IO) (v client.MapView, err error) {
	if c.Network == "" {
		if c.File != "" {
			return v, errors.New("--file: name the network's file too, with --network: it says who signs the map")
		}
		return v, c.ask(ctx, "/v1/map", &v)
	}
	n, err := netmap.LoadNetwork(c.Network)
	if err != nil {
		return v, err
	}
	if c.File == "" {
		m, err := c.fetch(ctx)
		if err != nil {
			return v, err
		}
		return client.ViewMap(n, m), nil
	}
	r, _, err := checkMap(ctx, n, c.File, time.Now())
	if err != nil {
		return v, err
	}
	m, err := usable(r, c.File)
	if err != nil {
		return v, err
	}
	if r.Err != nil {
		fmt.Fprintf(io.Err, "%v\n", r.Err)
	}
	return client.ViewMap(n, m), nil
}

// filter keeps the nodes that were asked for.
func (c *mapShow) filter(v *client.MapView) error {
	if err := c.checkNodes(v.Nodes); err != nil {
		return err
	}
	allows, err := exitsTo(c.Exit)
	if err != nil {
		return err
	}
	moderated := make(map[netmap.NodeID]bool)
	for _, m := range v.Moderation {
		moderated[m.Node] = true
	}
	v.Nodes = slices.DeleteFunc(v.Nodes, func(n client.NodeView) bool {
		keep := len(c.Nodes) == 0 || slices.ContainsFunc(c.Nodes, func(text string) bool { return isNode(n, text) })
		keep = keep && (len(c.Owner) == 0 || slices.Contains(c.Owner, n.Owner) || n.OwnerKey.String() != "" && slices.Contains(c.Owner, n.OwnerKey.String()))
		keep = keep && (len(c.Country) == 0 || slices.ContainsFunc(c.Country, func(code string) bool { return strings.EqualFold(code, n.Country) }))
		for _, f := range c.Flag {
			keep = keep && (slices.Contains(n.Flags, f) || f == "moderated" && moderated[n.ID])
		}
		return !keep || !allows(n)
	})
	return nil
}

func isNode(n client.NodeView, text string) bool {
	return n.Name == text || len(text) >= 4 && strings.HasPrefix(n.ID.String(), strings.ToLower(text))
}

func (c *mapShow) checkNodes(nodes []client.NodeView) error {
	for _, text := range c.Nodes {
		if !slices.ContainsFunc(nodes, func(n client.NodeView) bool { return isNode(n, text) }) {
			return fmt.Errorf("no node on the map has the name %q, or an ID that begins so", text)
		}
	}
	return nil
}

// exitsTo returns what says whether a node connects to the destination.
func exitsTo(destination string) (func(client.NodeView) bool, error) {
	if destination == "" {
		return func(client.NodeView) bool { return true }, nil
	}
	destination, err := withPort(destination)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(destination)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	addr, _ := netip.ParseAddr(host) // not valid for a name
	return func(n client.NodeView) bool {
		policy, err := netmap.ParseExitPolicy(n.Exit)
		if err != nil || !addr.IsValid() {
			return err == nil && policy.AllowsPort(uint16(number))
		}
		var own []netip.Addr
		for _, a := range n.Addresses {
			if at, err := netip.ParseAddrPort(a); err == nil {
				own = append(own, at.Addr())
			}
		}
		return policy.Allows(netip.AddrPortFrom(addr, uint16(number)), own...)
	}, nil
}

func printMap(out io.Writer, v client.MapView) error {
	fmt.Fprintf(out, "%s, map %d, valid until %s\n\n", v.Network, v.Sequence, v.ValidUntil.Local().Format(time.DateTime))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tID\tOWNER\tCOUNTRY\tAS\tCAPACITY\tLOAD\tLINKS\tFLAGS\tEXIT")
	for _, n := range v.Nodes {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d %%\t%d\t%s\t%s\n", n.Name, n.ID.Short(), n.Owner, cmp.Or(n.Country, "-"),
			asText(n.ASN), speed(n.Measured), n.Load, len(n.Links), cmp.Or(marks(n), "-"), audit.Policy(n.Exit))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return printStatements(out, v)
}

// marks are the flags without exit, which a column says.
func marks(n client.NodeView) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(n.Flags), func(f string) bool { return f == "exit" }), " ")
}

func asText(asn uint32) string {
	if asn == 0 {
		return "-"
	}
	return strconv.FormatUint(uint64(asn), 10)
}

// speed writes bytes a second.
func speed(rate uint64) string {
	switch {
	case rate == 0:
		return "-"
	case rate < 10_000_000:
		return fmt.Sprintf("%.1f MB/s", float64(rate)/1e6)
	}
	return fmt.Sprintf("%d MB/s", rate/1e6)
}
