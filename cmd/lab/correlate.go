package main

import (
	"context"
	"fmt"
	"time"

	"safing/internal/command"
	"safing/port17/correlation"
)

type correlateCommand struct {
	Flows  int           `help:"How many users there are; each is compared with all others." default:"500"`
	Window time.Duration `help:"How long they are watched." default:"1m"`
	Seed   uint64        `help:"Another number draws other users." default:"1"`
}

// Run simulates and attacks each defence, and prints a table.
func (c *correlateCommand) Run(ctx context.Context, io command.IO) error {
	var all []correlation.Result
	defences := correlation.Defences()
	for i, d := range defences {
		fmt.Fprintf(io.Err, "%d of %d: %s\n", i+1, len(defences), d.Name)
		r, err := correlation.Run(ctx, correlation.Config{Flows: c.Flows, Window: c.Window, Seed: c.Seed}, d)
		if err != nil {
			return interrupted(ctx, err)
		}
		all = append(all, r)
	}
	return correlation.Table(io.Out, all)
}
