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
)

const description = "A privacy network: authority, nodes, and the client."

type grammar struct {
	Client     clientCommand      `cmd:"" help:"Offer the network as a SOCKS5 proxy, for TCP and UDP, and as an HTTP CONNECT proxy."`
	Node       nodeCommand        `cmd:"" help:"Run a node."`
	Authority  authorityCommand   `cmd:"" help:"Run the authority of a network."`
	Map        mapCommand         `cmd:"" help:"Print which nodes there are."`
	Route      routeCommand       `cmd:"" help:"Print which route a connection would take, and why."`
	Key        keyCommand         `cmd:"" help:"Make, show and encrypt the keys of nodes and authorities."`
	Completion command.Completion `cmd:"" help:"Print a completion script for a shell."`
}

func main() { command.Main("port17", description, &grammar{}) }

// logTo returns a log that goes to standard error.
func logTo(io command.IO, verbose bool) *slog.Logger {
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return slog.New(slog.NewTextHandler(io.Err, &slog.HandlerOptions{Level: level}))
}

// serveHTTP answers on the listener until ctx ends.
func serveHTTP(ctx context.Context, l net.Listener, handler http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute, // answers that wait for a new map, too
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	unregister := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			server.Close() // Shutdown has closed the listener; this ends the rest
		}
	})
	defer unregister()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
