package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/audit"
)

type mapVerify struct {
	File    string    `arg:"" optional:"" help:"The map's file; without it, the newest map is fetched." type:"existingfile" placeholder:"MAP"`
	Network string    `help:"The network's file, which says who has to sign." required:"" type:"existingfile" placeholder:"FILE"`
	Against string    `help:"Let an authority prove that this older map, a file or a number, is of the same log." placeholder:"MAP"`
	Online  bool      `help:"Ask the network too where a file is checked: for the keys that the map names, and whether the authorities' logs have it."`
	At      time.Time `help:"Check whether the map was valid at this time; without it, now." placeholder:"TIME"`
	Save    string    `help:"Keep the map in this file, if it is believed." type:"path" placeholder:"FILE"`
	JSON    bool      `help:"Print JSON." name:"json"`
}

// Help is what --help says besides the flags.
func (*mapVerify) Help() string {
	return `Checks all that a client checks, and says it: form, signatures of authorities, cosignatures of witnesses, whether the map is the newest leaf of the log that they have signed, the hash of the body and what is in it, until when it is valid, what operators of authorities say, canaries.

A map that is fetched, or with --online, is checked further: whether each node has signed keys that are bound to what the map says of it, so that the authorities can't have put in words that the node has not said; and whether the log that each authority serves goes on from the map's. With --against, an authority has to prove that two maps are of one log: then nobody was shown another one in between.

Each line is ok, warning (clients believe the map, and people should know) or refused. The exit code is 1 if the map is refused, and the error is the first reason. A client keeps the newest map in its folder, as map.

Examples:

  port17 map verify --network network.toml --save yesterday

  port17 map verify --network network.toml --against yesterday

  port17 map verify --network network.toml --at 2026-11-21T12:00:00Z /var/lib/port17/client/map`
}

// A verdict is what verify prints as JSON.
type verdict struct {
	Network  string       `json:"network"`
	Sequence uint64       `json:"sequence"` // 0 if it could not be read
	Believed bool         `json:"believed"`
	Reason   string       `json:"reason,omitempty"` // why not
	Steps    []audit.Step `json:"steps"`
}

// Run prints the steps; why a map is refused is the error.
func (c *mapVerify) Run(ctx context.Context, io command.IO) error {
	n, err := netmap.LoadNetwork(c.Network)
	if err != nil {
		return err
	}
	at := c.At
	if at.IsZero() {
		at = time.Now()
	}
	r, signed, err := checkMap(ctx, n, c.File, at)
	if err != nil {
		return err
	}
	if r.Map != nil && (c.File == "" || c.Online) {
		r.CheckKeys(ctx, at)
		r.CheckLogs(ctx)
	}
	if r.Map != nil && c.Against != "" {
		other, _, err := checkMap(ctx, n, c.Against, at)
		if err != nil {
			return err
		}
		if _, err := usable(other, c.Against); err != nil {
			return err
		}
		r.CheckFollows(ctx, other)
	}
	if err := c.print(io, n, r); err != nil {
		return err
	}
	if r.Err != nil {
		return fmt.Errorf("refused: %w", r.Err)
	}
	if c.Save != "" {
		if err := os.WriteFile(c.Save, signed, 0o644); err != nil {
			return fmt.Errorf("keep the map: %w", err)
		}
	}
	return nil
}

func (c *mapVerify) print(io command.IO, n *netmap.Network, r *audit.Report) error {
	if c.JSON {
		v := verdict{Network: n.Name, Sequence: r.Header.Sequence, Believed: r.Err == nil, Steps: r.Steps}
		if r.Err != nil {
			v.Reason = r.Err.Error()
		}
		return printJSON(io.Out, v)
	}
	t := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	for _, s := range r.Steps {
		fmt.Fprintf(t, "%s\t%s\t%s\n", s.Level, s.Check, s.Text)
	}
	return t.Flush()
}
