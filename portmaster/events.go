package portmaster

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"safing/portmaster/history"
	"safing/portmaster/kernel"
)

// An eventSource is the kernel's stream of connections.
type eventSource interface {
	Read(ctx context.Context) (kernel.Event, error)
}

// A recorder writes what the kernel reports into the table.
type recorder struct {
	source eventSource
	table  *history.Table
	// describe makes the entry of an event.
	describe func(kernel.Event) history.Connection
	// unbound is told of a program without a profile, whose file may have
	// been replaced since its profile was bound.
	unbound func(path string)
	log     *slog.Logger

	permitted, denied, tunnelled atomic.Uint64
}

// run records until ctx ends or the source is closed.
func (r *recorder) run(ctx context.Context) {
	for {
		e, err := r.source.Read(ctx)
		if ctx.Err() != nil || errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			r.log.Error("read the kernel's events", "error", err)
			if !wait(ctx, time.Second) {
				return
			}
			continue
		}
		r.record(e)
	}
}

func (r *recorder) record(e kernel.Event) {
	if e.DNS {
		return // the resolver tells of the questions in it
	}
	c := r.describe(e)
	switch e.Action {
	case kernel.Permit:
		r.permitted.Add(1)
	case kernel.Tunnel:
		r.tunnelled.Add(1)
	default:
		r.denied.Add(1)
	}
	id := r.table.Announce(keyOf(e.Cookie, e.Protocol, e.Destination), c)
	if e.Action == kernel.Deny {
		r.table.End(id, c.Started, "")
	}
	if e.App == 0 {
		r.unbound(c.Process.Path)
	}
}
