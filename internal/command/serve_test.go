package command_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"safing/internal/command"
)

// An answer that runs when the program ends is finished, and then Serve
// returns; nobody is answered any more.
func TestServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	running, goOn := make(chan struct{}), make(chan struct{})
	server := command.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(running)
		<-goOn
		io.WriteString(w, "whole") //nolint:errcheck // the client looks
	}), slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- command.Serve(ctx, server, l) }()

	answer := make(chan string, 1)
	go func() {
		r, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		answer <- string(b)
	}()
	<-running
	end()
	close(goOn)
	if got := <-answer; got != "whole" {
		t.Errorf("the running answer: %q", got)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := http.Get("http://" + l.Addr().String()); err == nil {
		t.Error("it still answers")
	}
}

// A listener that fails is an error.
func TestServeOnAClosedListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	server := command.NewServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if err := command.Serve(t.Context(), server, l); err == nil {
		t.Error("want an error")
	}
}
