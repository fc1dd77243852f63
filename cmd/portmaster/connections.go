package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"safing/internal/command"
	"safing/portmaster/history"
)

type connectionsCommand struct {
	daemonFlags
	App     string `help:"Only this application: a profile's ID, a name or a program's path."`
	Verdict string `help:"Only this verdict: permit, deny or tunnel." enum:"permit,deny,tunnel," default:"" placeholder:"VERDICT"`
	Limit   int    `help:"Only so many of the newest." placeholder:"N"`
	Past    bool   `help:"Search the history on disk instead of the live table."`
	Follow  bool   `help:"Go on with what happens next." short:"f"`
	JSON    bool   `help:"Print JSON: one array, or with --follow one object a line."`
}

// Validate checks what the flags' types cannot.
func (c *connectionsCommand) Validate() error {
	switch {
	case c.Limit < 0 || c.Limit > 10_000:
		return errors.New("--limit must be between 0 (all) and 10000")
	case c.Follow && c.Past:
		return errors.New("--past cannot be followed: leave out one of --past and --follow")
	}
	return nil
}

// Run lists the connections.
func (c *connectionsCommand) Run(ctx context.Context, io command.IO) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if c.Follow {
		err := client.Follow(ctx, c.follower(io.Out))
		if ctx.Err() != nil {
			return nil // the reader has seen enough
		}
		return err
	}
	all, err := client.Connections(ctx, c.filter(), c.Past)
	if err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(io.Out)
		e.SetIndent("", "  ")
		return e.Encode(all)
	}
	if len(all) == 0 {
		fmt.Fprintln(io.Err, "no connections")
		return nil
	}
	t := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "STARTED\tAPPLICATION\tDESTINATION\tVERDICT\tROUTE\tREASON")
	for _, x := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", started(x), application(x), destination(x), x.Verdict, overNodes(x), because(x))
	}
	return t.Flush()
}

func (c *connectionsCommand) filter() history.Filter {
	return history.Filter{App: c.App, Verdict: c.Verdict, Limit: c.Limit}
}

func started(c history.Connection) string { return c.Started.Local().Format(time.TimeOnly) }

// follower prints every connection when it appears and when something but its
// byte counts changes.
func (c *connectionsCommand) follower(w io.Writer) func(history.Delta) error {
	var before []history.Connection // what was there, until it is complete
	first := true
	lines := make(map[uint64]string) // what was printed last
	return func(d history.Delta) error {
		for _, id := range d.Removed {
			delete(lines, id)
		}
		if first {
			before = append(before, d.Connections...)
			if d.Version == 0 {
				return nil
			}
			d.Connections, before = before, nil
		}
		wanted := c.wanted(d.Connections, first)
		first = false
		for _, x := range wanted {
			if err := c.print(w, x, lines); err != nil {
				return err
			}
		}
		return nil
	}
}

// wanted selects as the daemon does; the limit is for what was there before.
func (c *connectionsCommand) wanted(all []history.Connection, first bool) []history.Connection {
	var out []history.Connection
	for _, x := range all {
		if (c.Verdict == "" || c.Verdict == x.Verdict) &&
			(c.App == "" || c.App == x.App.ID || c.App == x.App.Name || c.App == x.Process.Path) {
			out = append(out, x)
		}
	}
	if first && c.Limit > 0 && len(out) > c.Limit {
		out = out[len(out)-c.Limit:]
	}
	return out
}

func (c *connectionsCommand) print(w io.Writer, x history.Connection, lines map[uint64]string) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(x)
	}
	line := fmt.Sprintf("%s  %-7s  %s → %s  %s", started(x), x.Verdict, application(x), destination(x), because(x))
	if r := overNodes(x); r != "" {
		line += "  over " + r
	}
	if lines[x.ID] == line {
		return nil
	}
	lines[x.ID] = line
	_, err := fmt.Fprintln(w, line)
	return err
}
