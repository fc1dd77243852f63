package api

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"safing/internal/sse"
	"safing/portmaster/history"
)

const (
	streamPace = 100 * time.Millisecond // at most one step in this time
	streamBeat = 15 * time.Second       // a sign of life when nothing changes
	streamPart = 1000                   // connections in one event
)

// EventDelta is the name of the stream's events; their data is a
// [history.Delta]. EventBeat says that nothing changed.
const (
	EventDelta = "delta"
	EventBeat  = "beat"
)

func (s *Server) registerStream() {
	op := operation("stream", http.MethodGet, "/connections/stream", "Follow the connections")
	op.Description = "Server-sent events. Each `delta` is what changed since the one before; the first holds the whole table. " +
		"A large one comes in parts, of which all but the last have the version 0. " +
		"A `beat` comes when nothing changed for a while."
	schema := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[history.Delta](), true, "Delta")
	op.Responses = map[string]*huma.Response{"200": {
		Description: "The stream. The data of a `delta` follows the schema.",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: schema}},
	}}
	huma.Register(s.api, op, func(context.Context, *struct{}) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			r, w := humago.Unwrap(ctx)
			s.stream(w, r)
		}}, nil
	})
}

// stream sends steps until the client goes away.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	out, err := sse.Start(w, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	d := s.config.Table.Since(0)
	for {
		for _, part := range parts(d) {
			if err := out.Send(EventDelta, part); err != nil {
				return
			}
		}
		if !pause(out.Done(), streamPace) {
			return
		}
		for !changed(r.Context(), s.config.Table, d.Version) {
			if r.Context().Err() != nil || out.Send(EventBeat, struct{}{}) != nil {
				return
			}
		}
		d = s.config.Table.Since(d.Version)
	}
}

// parts splits a step so that no event gets too large. All but the last have
// the version 0.
func parts(d history.Delta) []history.Delta {
	var all []history.Delta
	for len(d.Connections) > streamPart {
		all = append(all, history.Delta{
			Reset: d.Reset, Connections: d.Connections[:streamPart],
			Counters: []history.Counter{}, Removed: []uint64{},
		})
		d.Connections, d.Reset = d.Connections[streamPart:], false
	}
	return append(all, d)
}

// pause returns false when done is closed before d has passed.
func pause(done <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return false
	case <-t.C:
		return true
	}
}

// changed waits for a change, for as long as a client should be left without
// a sign of life.
func changed(ctx context.Context, t *history.Table, version uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, streamBeat)
	defer cancel()
	return t.Wait(ctx, version) == nil
}
