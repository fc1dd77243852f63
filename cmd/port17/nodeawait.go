package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/directory"
	"safing/port17/node"
)

const (
	lookEvery = 200 * time.Millisecond
	askEvery  = 10 * time.Second // for the newest map, whether it says that the node is suspended
	// A node is on the map after one period as a rule; and two more are allowed.
	patientPeriods = 3
	patientBesides = 30 * time.Second
)

// await runs the node, and says when the map lists it.
func (c *nodeJoin) await(ctx context.Context, io command.IO, o *nodeOptions) error {
	network, err := netmap.LoadNetwork(o.Network)
	if err != nil {
		return err
	}
	return runNode(ctx, io, o, c.Out, func(ctx context.Context, n *node.Node) error {
		return awaitListed(ctx, io.Err, network, n)
	})
}

// awaitListed returns nil once the map lists the node, or when ctx ends; else why
// it does not.
func awaitListed(ctx context.Context, out io.Writer, network *netmap.Network, n *node.Node) error {
	period, _ := network.Times()
	limit := patientPeriods*period + patientBesides
	fmt.Fprintf(out, "waiting   until the map lists the node, for %s at most: a map comes every %s\n", limit, period)
	over := time.After(limit)
	look, ask := time.NewTicker(lookEvery), time.NewTicker(askEvery)
	defer look.Stop()
	defer ask.Stop()
	started, last := time.Now(), ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-over:
			return notListed(ctx, network, n, limit)
		case <-ask.C:
			if m, err := directory.New(directory.Config{Network: network}).Fetch(ctx); err == nil {
				if err := suspension(network, m, n.ID()); err != nil {
					return err
				}
			}
		case <-look.C:
		}
		if n.Stats().OnMap {
			fmt.Fprintf(out, "listed    the map has the node since %s after the start; it runs until it is stopped\n", time.Since(started).Round(time.Second/10))
			return nil
		}
		err := n.PublishErr()
		if errors.Is(err, directory.ErrRefused) {
			return fmt.Errorf("the network does not take the node: %w", err)
		}
		if err != nil && err.Error() != last {
			last = err.Error()
			fmt.Fprintf(out, "waiting   %s\n", strings.ReplaceAll(last, "\n", "; "))
		}
	}
}

// notListed returns why a node is not on the map that has published itself.
func notListed(ctx context.Context, network *netmap.Network, n *node.Node, limit time.Duration) error {
	if err := n.PublishErr(); err != nil {
		return fmt.Errorf("the node is not on the map after %s: %w", limit, err)
	}
	m, err := directory.New(directory.Config{Network: network}).Fetch(ctx)
	if err != nil {
		return fmt.Errorf("the node is not on the map after %s: %w", limit, err)
	}
	if err := suspension(network, m, n.ID()); err != nil {
		return err
	}
	return fmt.Errorf("the authorities have taken the node's descriptor, and after %s it is not on the map: "+
		"as a rule they can't connect to it, so look at the firewall of the machine and of its network", limit)
}

// suspension returns why authorities have suspended the node; nil if they have
// not.
func suspension(network *netmap.Network, m *netmap.Map, id netmap.NodeID) error {
	var reasons []string
	for _, said := range network.Suspensions(m, id) {
		reasons = append(reasons, fmt.Sprintf("%s: %s", network.Authorities[said.Authority].URL, said.Moderation.Reason))
	}
	if len(reasons) == 0 {
		return nil
	}
	return fmt.Errorf("authorities have suspended the node: %s; answer with port17 node appeal", strings.Join(reasons, ", "))
}
