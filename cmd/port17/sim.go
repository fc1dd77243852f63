package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/term"

	"safing/internal/command"
	"safing/port17/route"
	"safing/port17/sim"
)

type simCommand struct {
	Reports []string `arg:"" name:"report" help:"What to report: latency, load, attack, entries, scale, view, or all." enum:"latency,load,attack,entries,scale,view,all"`
	Nodes   int      `help:"Nodes of the network, 3 to 12000." default:"1000" placeholder:"N"`
	Tunnels int      `help:"Tunnels that clients ask for, of each level." default:"100000" placeholder:"N"`
	Level   string   `help:"Levels of tunnels: normal, high, extreme, or all." enum:"normal,high,extreme,all" default:"all" placeholder:"LEVEL"`
	Seed    uint64   `help:"Another number makes another world." default:"1" placeholder:"N"`
	Out     string   `help:"Folder for REPORT.json, REPORT.md and charts; it is made if need be." type:"path" placeholder:"DIR"`
}

// Help is what --help says besides the flags.
func (*simCommand) Help() string {
	return `A world is made from the seed: cities, networks, owners and their nodes, clients where people are, ` +
		`destinations where sites are, and how long packets take between any two. Its nodes choose their links and publish a map; ` +
		`clients draw entries and find routes with the code that real ones run. The same nodes, each able to reach each other, ` +
		`are used by Tor's rules, for comparison. Nothing is sent.

Reports:

  latency  How long tunnels take to the destination, how far exits are from it, how many routes differ.

  load     How tunnels spread over nodes and their capacity.

  attack   What part of tunnels is exposed to who has nodes, owners, networks or countries, or money for servers, and what part of clients after a year.

  entries  What other ways for clients to draw entries would change.

  scale    What maps of 100 to --nodes nodes cost who keeps them: bytes, time, memory.

  view     What it costs if clients know a part of the nodes only.

Tables are printed as Markdown. The world is the same for the same seed; routes are drawn anew each time, so that figures differ in the last digit.

Example: port17 sim latency load --nodes 2000 --tunnels 200000 --out /tmp/sim`
}

// Run simulates and prints.
func (c *simCommand) Run(ctx context.Context, io command.IO) error {
	names := c.Reports
	if slices.Contains(names, "all") {
		names = sim.Names()
	}
	o := sim.Options{Nodes: c.Nodes, Tunnels: c.Tunnels, Seed: c.Seed, Progress: progress(io.Err)}
	if c.Level != "all" {
		level, err := route.ParseLevel(c.Level)
		if err != nil {
			return err
		}
		o.Levels = []route.Level{level}
	}
	reports, err := sim.Run(ctx, o, names...)
	if o.Progress != nil {
		o.Progress("", 0)
	}
	if err != nil {
		return err
	}
	for i, r := range reports {
		if i > 0 {
			fmt.Fprintln(io.Out)
		}
		fmt.Fprint(io.Out, r.Markdown())
		if c.Out == "" {
			continue
		}
		if err := r.Write(c.Out); err != nil {
			return err
		}
		fmt.Fprintf(io.Err, "wrote %s\n", filepath.Join(c.Out, r.Name+".json"))
	}
	return nil
}

// progress returns what shows how far it is on one line of a terminal, or nil if
// there is none. With no text it clears the line.
func progress(w io.Writer) func(what string, done float64) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	const width = 30
	return func(what string, done float64) {
		if what == "" {
			fmt.Fprint(w, "\r\x1b[K")
			return
		}
		full := min(width, int(done*width))
		fmt.Fprintf(w, "\r\x1b[K%-28s [%s%s] %3.0f %%", what, strings.Repeat("=", full), strings.Repeat(" ", width-full), 100*done)
	}
}
