package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"safing/internal/command"
)

type netCommand struct {
	Folder `embed:""`
	JSON   bool   `help:"Print what runs as JSON."`
	Socks  string `help:"Where the client's SOCKS proxy listens." default:"127.0.0.1:0"`
}

// Run starts the network in a folder of its own below the lab's, so that it
// can stand beside a lab, and removes it at the end.
func (c *netCommand) Run(ctx context.Context, io command.IO) error {
	w, err := openTemporary(c.State, "net-", io.Err)
	if err != nil {
		return err
	}
	defer w.remove()
	n, err := w.startNetwork(ctx, c.Socks)
	if err != nil {
		return interrupted(ctx, err)
	}
	s := w.describe(n)
	if err := s.save(w.dir); err != nil {
		return err
	}
	if c.JSON {
		e := json.NewEncoder(io.Out)
		e.SetIndent("", "  ")
		err = e.Encode(s)
	} else {
		_, err = fmt.Fprintf(io.Out, "network is up  socks %s  file %s\n", s.Socks, n.file)
	}
	if err != nil {
		return err
	}
	w.report(ctx)
	return nil
}

// interrupted is nil when err came of the user's wish to stop.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Cause(ctx)) {
		return nil
	}
	return err
}

// logs is where the processes of a world write.
func (w *world) logs() string { return filepath.Join(w.dir, "logs") }
