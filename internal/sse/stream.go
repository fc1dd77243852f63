package sse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// BeatEvery is how long a stream should stay silent at most. Proxies close
// what is silent for a minute.
const BeatEvery = 20 * time.Second

const (
	// patience is how long a client may take for one event.
	patience = 10 * time.Second
	// maxEvent is the size of the largest event, in bytes.
	maxEvent = 16 << 20
)

var (
	// ErrClosed means that the client has gone or the handler has returned.
	ErrClosed = errors.New("the event stream is closed")
	// ErrTooLarge means that an event is larger than 16 MiB.
	ErrTooLarge = errors.New("the event is larger than 16 MiB")
)

// A Stream is one client that listens. It belongs to the handler that started
// it and must not be used after that has returned.
type Stream struct {
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	w       http.ResponseWriter
	control *http.ResponseController
}

// Start answers the request with the headers of an event stream. It fails,
// with nothing sent, when the connection cannot be flushed.
func Start(w http.ResponseWriter, r *http.Request) (*Stream, error) {
	if !canFlush(w) {
		return nil, fmt.Errorf("start an event stream: %w", http.ErrNotSupported)
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // asks reverse proxies to pass events on at once
	h.Del("Content-Length")

	ctx, cancel := context.WithCancelCause(r.Context())
	s := &Stream{ctx: ctx, cancel: cancel, w: w, control: http.NewResponseController(w)}
	// The server's own timeouts are for answers that end.
	_ = s.control.SetReadDeadline(time.Time{}) // without it the server's timeout ends the stream
	w.WriteHeader(http.StatusOK)
	if err := s.Beat(); err != nil {
		return nil, fmt.Errorf("start an event stream: %w", err)
	}
	return s, nil
}

// canFlush looks through wrappers as http.ResponseController does, without
// sending anything.
func canFlush(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case interface{ FlushError() error }, http.Flusher:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// Send sends v as JSON under the event's name, and returns when the
// connection has taken it. Any error but that v cannot be sent is final.
func (s *Stream) Send(event string, v any) error {
	if strings.ContainsAny(event, "\r\n") {
		return fmt.Errorf("send event %q: a name has one line", event)
	}
	data, err := json.Marshal(v) // one line: JSON escapes line breaks
	if err != nil {
		return fmt.Errorf("send event %s: %w", event, err)
	}
	if len(data) > maxEvent {
		return fmt.Errorf("send event %s: %w", event, ErrTooLarge)
	}
	var b bytes.Buffer
	b.Grow(len(data) + len(event) + 16)
	if event != "" {
		b.WriteString("event: ")
		b.WriteString(event)
		b.WriteByte('\n')
	}
	b.WriteString("data: ")
	b.Write(data)
	b.WriteString("\n\n")
	if err := s.write(b.Bytes()); err != nil {
		return fmt.Errorf("send event %s: %w", event, err)
	}
	return nil
}

// Done is closed when the client has gone.
func (s *Stream) Done() <-chan struct{} { return s.ctx.Done() }

// Beat sends a comment, which clients skip. It keeps the connection alive and
// finds out whether the client is still there.
func (s *Stream) Beat() error { return s.write([]byte(":\n\n")) }

// write hands data to the connection; a failure ends the stream.
func (s *Stream) write(data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return ErrClosed
	}
	// A writer without deadlines (a recorder in a test) cannot hang.
	_ = s.control.SetWriteDeadline(time.Now().Add(patience))
	_, err := s.w.Write(data)
	if err == nil {
		err = s.control.Flush()
	}
	if err != nil {
		s.cancel(err)
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	// HTTP/2 resets a stream whose deadline passes, even while it is idle.
	_ = s.control.SetWriteDeadline(time.Time{})
	return nil
}
