package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

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
		return serve(ctx, listener, site.New(site.Config{Store: store, Log: log}), log)
	})
}

// serve answers until ctx ends, and then lets running answers finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute, // a large feed on a slow line
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("the site is up", "http", listener.Addr().String())
	select {
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	log.Info("shutting down")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		log.Warn("an answer was cut off", "error", err)
		_ = server.Close() // Shutdown has closed the listener; this ends the rest
	}
	<-served
	return nil
}
