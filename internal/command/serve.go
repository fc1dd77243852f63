package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// shutdownGrace is how long running answers may take once a program ends.
const shutdownGrace = 5 * time.Second

// NewServer returns an HTTP server with limits on what a client may send and
// how long it may take.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      2 * time.Minute, // a large answer on a slow line, or one that waits for news
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// Serve answers on the listener until ctx ends, and then lets running answers
// finish, for a few seconds.
func Serve(ctx context.Context, server *http.Server, l net.Listener) error {
	finished := make(chan struct{})
	unregister := context.AfterFunc(ctx, func() {
		defer close(finished)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			server.ErrorLog.Printf("an answer was cut off: %v", err)
			server.Close() // Shutdown has closed the listener; this ends the rest
		}
	})
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		unregister()
		return fmt.Errorf("serve: %w", err)
	}
	<-finished
	return nil
}
