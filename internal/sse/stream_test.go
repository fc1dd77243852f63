package sse

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
)

// listen starts a server with the handler and connects to it.
func listen(t *testing.T, handler func(*Stream)) *http.Response {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := Start(w, r)
		if err != nil {
			t.Errorf("start: %v", err)
			return
		}
		handler(s)
	}))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func TestStreamSendsEvents(t *testing.T) {
	answer := listen(t, func(s *Stream) {
		for _, err := range []error{
			s.Send("name", struct{ Text string }{"two\nlines"}),
			s.Beat(),
			s.Send("", 7),
		} {
			if err != nil {
				t.Errorf("send: %v", err)
			}
		}
	})
	if got := answer.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("content type %q", got)
	}
	if got := answer.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("cache control %q", got)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := ":\n\nevent: name\ndata: {\"Text\":\"two\\nlines\"}\n\n:\n\ndata: 7\n\n"
	if string(body) != want {
		t.Errorf("got %q, want %q", body, want)
	}
}

func TestStreamArrivesAtOnce(t *testing.T) {
	next := make(chan struct{})
	answer := listen(t, func(s *Stream) {
		for i := range 3 {
			if s.Send("n", i) != nil {
				return
			}
			select {
			case <-next:
			case <-s.Done():
			}
		}
	})
	lines := bufio.NewScanner(answer.Body)
	for _, want := range []string{"data: 0", "data: 1", "data: 2"} {
		for lines.Scan() && lines.Text() != want {
		}
		if lines.Text() != want {
			t.Fatalf("%q did not arrive: %v", want, lines.Err())
		}
		next <- struct{}{}
	}
}

func TestStreamEndsWithTheClient(t *testing.T) {
	ended := make(chan error, 1)
	answer := listen(t, func(s *Stream) {
		<-s.Done()
		ended <- s.Send("late", 1)
	})
	answer.Body.Close()
	if err := <-ended; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestStreamEndsWithAFailedWrite(t *testing.T) {
	w := &stuck{header: http.Header{}}
	s, err := Start(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	w.err = errors.New("i/o timeout")
	if err := s.Send("x", 1); !errors.Is(err, ErrClosed) || !errors.Is(err, w.err) {
		t.Errorf("got %v, want ErrClosed with its cause", err)
	}
	select {
	case <-s.Done():
	default:
		t.Error("the stream goes on after a failed write")
	}
	w.err = nil
	if err := s.Beat(); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed for ever after", err)
	}
}

func TestSendRefuses(t *testing.T) {
	w := httptest.NewRecorder()
	s, err := Start(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if err != nil {
		t.Fatal(err)
	}
	if s.Send("a\nb", 1) == nil {
		t.Error("a name with a line break was sent")
	}
	if s.Send("a", math.NaN()) == nil {
		t.Error("a value that JSON cannot hold was sent")
	}
	if err := s.Send("a", strings.Repeat("x", maxEvent)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if err := s.Send("a", 1); err != nil {
		t.Errorf("the stream ended with what was refused: %v", err)
	}
	if got := w.Body.String(); got != ":\n\nevent: a\ndata: 1\n\n" {
		t.Errorf("sent %q", got)
	}
}

func TestStartNeedsFlush(t *testing.T) {
	var w struct{ http.ResponseWriter }
	recorder := httptest.NewRecorder()
	w.ResponseWriter = recorder
	if _, err := Start(w, httptest.NewRequest(http.MethodGet, "/", nil)); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("got %v, want ErrNotSupported", err)
	}
	if recorder.Body.Len() != 0 {
		t.Errorf("sent %q before it failed", recorder.Body)
	}
	if _, err := Start(wrapped{recorder}, httptest.NewRequest(http.MethodGet, "/", nil)); err != nil {
		t.Errorf("behind a wrapper: %v", err)
	}
}

func TestForward(t *testing.T) {
	b := NewBroker[int](4)
	reason := make(chan error, 1)
	answer := listen(t, func(s *Stream) {
		sub := b.Subscribe(t.Context())
		b.Publish(1)
		b.Publish(2)
		b.Close()
		reason <- Forward(s, "n", sub)
	})
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := ":\n\nevent: n\ndata: 1\n\nevent: n\ndata: 2\n\n"; string(body) != want {
		t.Errorf("got %q, want %q", body, want)
	}
	if err := <-reason; !errors.Is(err, ErrBrokerClosed) {
		t.Errorf("got %v, want ErrBrokerClosed", err)
	}
}

func TestForwardBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*BeatEvery+BeatEvery/2)
		defer cancel()
		w := httptest.NewRecorder()
		s, err := Start(w, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		err = Forward(s, "n", NewBroker[int](1).Subscribe(context.WithoutCancel(ctx)))
		if !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		if n := strings.Count(w.Body.String(), ":\n\n"); n != 3 {
			t.Errorf("%d comments, want the first and two beats", n)
		}
	})
}

// stuck is a client whose connection fails when err is set.
type stuck struct {
	header http.Header
	err    error
}

func (s *stuck) Header() http.Header         { return s.header }
func (s *stuck) WriteHeader(int)             {}
func (s *stuck) Write(b []byte) (int, error) { return len(b), s.err }
func (s *stuck) FlushError() error           { return s.err }

// wrapped hides its writer's methods, but not the writer.
type wrapped struct{ w http.ResponseWriter }

func (w wrapped) Header() http.Header         { return w.w.Header() }
func (w wrapped) WriteHeader(code int)        { w.w.WriteHeader(code) }
func (w wrapped) Write(b []byte) (int, error) { return w.w.Write(b) }
func (w wrapped) Unwrap() http.ResponseWriter { return w.w }
