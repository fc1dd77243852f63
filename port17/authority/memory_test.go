package authority

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
)

// A wire is a network in memory, on which virtual time works: what it carries
// takes none. Hosts that are cut off are silent.
type wire struct {
	mu    sync.Mutex
	hosts map[string]http.Handler
	cut   map[string]bool
}

func newWire() *wire {
	return &wire{hosts: make(map[string]http.Handler), cut: make(map[string]bool)}
}

func (w *wire) set(host string, h http.Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[host] = h
}

// setFor makes a host answer one of the others in its own way.
func (w *wire) setFor(asking, host string, h http.Handler) {
	w.set(asking+" "+host, h)
}

// cutOff makes a host silent, or heard again.
func (w *wire) cutOff(host string, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[host] = cut
}

// from is what the host sends with.
func (w *wire) from(host string) http.RoundTripper { return sender{w, host} }

type sender struct {
	wire *wire
	host string
}

// RoundTrip implements http.RoundTripper.
func (s sender) RoundTrip(r *http.Request) (*http.Response, error) {
	s.wire.mu.Lock()
	h := s.wire.hosts[s.host+" "+r.URL.Host]
	if h == nil {
		h = s.wire.hosts[r.URL.Host]
	}
	cut := s.wire.cut[r.URL.Host] || s.wire.cut[s.host]
	s.wire.mu.Unlock()
	if cut {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	if h == nil {
		return nil, fmt.Errorf("nobody listens at %s", r.URL.Host)
	}
	answered := make(chan *http.Response, 1)
	go func() {
		w := httptest.NewRecorder()
		request := r.Clone(r.Context())
		request.RemoteAddr, request.RequestURI = "192.0.2.1:1", r.URL.RequestURI()
		if request.Body == nil {
			request.Body = http.NoBody
		}
		h.ServeHTTP(w, request)
		answered <- w.Result()
	}()
	select {
	case response := <-answered:
		return response, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// logs are what authorities have logged.
type logs struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	return len(b), nil
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
