package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"safing/internal/command"
)

const description = "A privacy network: authority, nodes, and the client."

type grammar struct {
	Client     clientCommand      `cmd:"" help:"Offer the network as a SOCKS5 proxy, for TCP and UDP, and as an HTTP CONNECT proxy."`
	Node       nodeCommand        `cmd:"" help:"Run a node."`
	Authority  authorityCommand   `cmd:"" help:"Run the authority of a network."`
	Owner      ownerCommand       `cmd:"" help:"Make the key of who runs nodes, and prove which nodes are theirs."`
	Witness    witnessCommand     `cmd:"" help:"Run a witness, which makes sure that networks have one log of their maps."`
	Map        mapCommand         `cmd:"" help:"Print which nodes there are."`
	Status     statusCommand      `cmd:"" help:"Print how a running client fares, and its circuits."`
	Route      routeCommand       `cmd:"" help:"Print which route a connection would take, and why."`
	Geo        geoCommand         `cmd:"" help:"Print where addresses are, and the age of the data that says so."`
	Key        keyCommand         `cmd:"" help:"Make, show and encrypt the keys of nodes and authorities."`
	Sim        simCommand         `cmd:"" help:"Simulate networks of up to 12,000 nodes: latency, load, attacks."`
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

// serveHTTP answers on the listener until ctx ends. Answers that wait for news
// end then, too.
func serveHTTP(ctx context.Context, l net.Listener, handler http.Handler, log *slog.Logger) error {
	server := command.NewServer(handler, log)
	server.BaseContext = func(net.Listener) context.Context { return ctx }
	return command.Serve(ctx, server, l)
}
