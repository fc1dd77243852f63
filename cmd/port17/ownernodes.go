package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/client"
)

type ownerNodes struct {
	OwnerKey ownerRef        `help:"The owner's public key, or the file of the key." placeholder:"KEY"`
	Owner    string          `help:"Nodes of this owner's name instead, whoever has given it to them." placeholder:"NAME"`
	Node     []netmap.NodeID `help:"A node that should be there: where the map does not list it, say so. May be repeated." placeholder:"ID"`
	source
	File string `help:"Read the map from this file, and ask nobody; with --network." type:"existingfile" placeholder:"MAP"`
	passphraseFile
}

// Help is what --help says besides the flags.
func (*ownerNodes) Help() string {
	return `Prints those of the map, as port17 map does: a running client is asked for it, or with --network the network. The capacity is what authorities have measured, the load what the node says itself. KEYS says until when others can begin links and circuits with the node, unless it publishes newer ones. Below is what authorities say of the nodes, with the node's answer.

A node that is suspended or can't be reached is not on the map, and the map does not know whose it was: name yours with --node to see what is said of them. The exit code is 1 if one of these is not listed.

Example: port17 owner nodes --network network.toml --owner-key owner.key --node 43kuaxi5f3ds3bwsrknp6p6vqlylvy5npslxgqaaqweron75ojaq`
}

// An ownedNode is one of an owner's nodes.
type ownedNode struct {
	Listed bool `json:"listed"`
	client.NodeView
	Moderation []client.ModerationView `json:"moderation"`
}

// ownedNodes is what nodes prints as JSON.
type ownedNodes struct {
	Network  string      `json:"network"`
	Sequence uint64      `json:"sequence"`
	Nodes    []ownedNode `json:"nodes"`
}

// Run prints the nodes.
func (c *ownerNodes) Run(ctx context.Context, io command.IO) error {
	key, err := c.OwnerKey.find(ctx, io, c.passphraseFile)
	if err != nil {
		return err
	}
	if key == (netmap.OwnerKey{}) && c.Owner == "" && len(c.Node) == 0 {
		return errors.New("name the owner with --owner-key or --owner, or nodes with --node")
	}
	shown := mapShow{source: c.source, File: c.File}
	v, err := shown.view(ctx, io)
	if err != nil {
		return err
	}
	owned := c.choose(v, key)
	if c.JSON {
		err = printJSON(io.Out, owned)
	} else {
		err = printOwned(io.Out, v, owned)
	}
	missing := 0
	for _, n := range owned.Nodes {
		if !n.Listed {
			missing++
		}
	}
	if err == nil && missing > 0 {
		return fmt.Errorf("%d of the nodes named with --node are not on the map: look into their logs, and at port17 node check", missing)
	}
	return err
}

func (c *ownerNodes) choose(v client.MapView, key netmap.OwnerKey) ownedNodes {
	owned := ownedNodes{Network: v.Network, Sequence: v.Sequence, Nodes: []ownedNode{}}
	add := func(n ownedNode) {
		n.Moderation = []client.ModerationView{}
		for _, m := range v.Moderation {
			if m.Node == n.ID {
				n.Moderation = append(n.Moderation, m)
			}
		}
		owned.Nodes = append(owned.Nodes, n)
	}
	var found []netmap.NodeID
	for _, n := range v.Nodes {
		theirs := key != netmap.OwnerKey{} && n.OwnerKey == key || c.Owner != "" && n.Owner == c.Owner
		if theirs || slices.Contains(c.Node, n.ID) {
			found = append(found, n.ID)
			add(ownedNode{Listed: true, NodeView: n})
		}
	}
	for _, id := range c.Node {
		if !slices.Contains(found, id) {
			found = append(found, id)
			add(ownedNode{NodeView: client.NodeView{
				HopInfo: client.HopInfo{ID: id}, Addresses: []string{}, Entrances: []string{}, Exit: []string{}, Flags: []string{}, Links: []client.LinkView{},
			}})
		}
	}
	return owned
}

func printOwned(out io.Writer, v client.MapView, owned ownedNodes) error {
	fmt.Fprintf(out, "%s, map %d, valid until %s\n\n", v.Network, v.Sequence, v.ValidUntil.Local().Format(time.DateTime))
	if len(owned.Nodes) == 0 {
		fmt.Fprintln(out, "No node of this owner is on the map.")
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tID\tLISTED\tGROUP\tCOUNTRY\tCAPACITY\tLOAD\tLINKS\tFLAGS\tKEYS\tVERSION")
	for _, n := range owned.Nodes {
		if !n.Listed {
			fmt.Fprintf(t, "-\t%s\tno\t-\t-\t-\t-\t-\t-\t-\t-\n", n.ID.Short())
			continue
		}
		keys := "not known"
		if !n.KeysUntil.IsZero() {
			keys = "for " + time.Until(n.KeysUntil).Round(time.Minute).String()
		}
		fmt.Fprintf(t, "%s\t%s\tyes\t%s\t%s\t%s\t%d %%\t%d\t%s\t%s\t%s\n", n.Name, n.ID.Short(), cmp.Or(n.Group, "-"), cmp.Or(n.Country, "-"),
			speed(n.Measured), n.Load, len(n.Links), cmp.Or(marks(n.NodeView), "-"), keys, cmp.Or(n.Version, "-"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	first := true
	for _, n := range owned.Nodes {
		for _, m := range n.Moderation {
			if first {
				fmt.Fprintln(out, "\nWhat authorities say of them:")
				first = false
			}
			printModeration(out, m)
		}
	}
	return nil
}
