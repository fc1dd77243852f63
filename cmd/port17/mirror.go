package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"golang.org/x/net/netutil"

	"safing/internal/command"
)

// maxMirrorConns is how many may be connected to a mirror. Each is a file.
const maxMirrorConns = 1024

// listenMirror listens where the map is served to everybody; nil if it is not.
func listenMirror(address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	l, err := command.Listen(address, "--mirror-listen")
	if err != nil {
		return nil, err
	}
	return netutil.LimitListener(l, maxMirrorConns), nil
}

// serveMirror serves the map until ctx ends. Who asks is not logged.
func serveMirror(ctx context.Context, l net.Listener, directory http.Handler, log *slog.Logger) error {
	server := command.NewServer(directory, log)
	server.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelDebug)
	server.BaseContext = func(net.Listener) context.Context { return ctx }
	return command.Serve(ctx, server, l)
}
