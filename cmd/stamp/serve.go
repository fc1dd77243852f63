package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"safing/internal/command"
	"safing/stamp/labels"
	"safing/stamp/site"
)

type serveCommand struct {
	state
	Listen string `help:"Address and port of the site." default:"127.0.0.1:8118" placeholder:"ADDR"`
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context, io command.IO) error {
	return c.with(ctx, func(store *labels.Store) error {
		listener, err := command.Listen(c.Listen, "--listen")
		if err != nil {
			return err
		}
		log := slog.New(slog.NewTextHandler(io.Err, nil))
		if _, err := fmt.Fprintf(io.Out, "ready http=%s\n", listener.Addr()); err != nil {
			return errors.Join(fmt.Errorf("say that the site is ready: %w", err), listener.Close())
		}
		log.Info("the site is up", "http", listener.Addr().String())
		return command.Serve(ctx, command.NewServer(site.New(site.Config{Store: store, Log: log}), log), listener)
	})
}
