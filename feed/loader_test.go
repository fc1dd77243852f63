package feed

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A listServer serves a text that the test can change.
type listServer struct {
	mu       sync.Mutex
	text     string
	status   int
	asked    int
	notAgain int // answers 304
}

func (s *listServer) set(text string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text, s.status = text, status
}

func (s *listServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	etag := `"` + s.text + `"`
	w.Header().Set("ETag", etag)
	if s.status == 0 && r.Header.Get("If-None-Match") == etag {
		s.notAgain++
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if s.status != 0 {
		w.WriteHeader(s.status)
	}
	w.Write([]byte(s.text)) //nolint:errcheck // the client sees it
}

func TestLoader(t *testing.T) {
	s := &listServer{text: "a.test"}
	server := httptest.NewServer(s)
	config := LoaderConfig{Name: "ads", URL: server.URL + "/ads.hosts", Copy: filepath.Join(t.TempDir(), "ads.hosts")}
	l := newLoader(t, config)
	if l.Status().Feed != nil {
		t.Error("a feed before the first fetch")
	}
	fetch(t, l, true, "")
	listed(t, l, "x.a.test", true)
	fetch(t, l, false, "")
	if s.notAgain != 1 {
		t.Errorf("the same text was sent again: %d of %d answers were 304", s.notAgain, s.asked)
	}
	s.set("b.test", 0)
	fetch(t, l, true, "")
	listed(t, l, "a.test", false)
	s.set("oops", http.StatusInternalServerError)
	fetch(t, l, false, "500 Internal Server Error")
	s.set("<html> <body>\n", 0)
	fetch(t, l, false, "not in the hosts format")
	listed(t, l, "b.test", true)
	server.Close()

	l = newLoader(t, config) // the server is away: the copy counts
	listed(t, l, "b.test", true)
	fetch(t, l, false, "fetch list ads")
	listed(t, l, "b.test", true)
	if st := l.Status(); st.Err == nil || !st.Fetched.IsZero() {
		t.Errorf("status %+v", st)
	}
}

func TestLoaderDamagedCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.hosts")
	if err := os.WriteFile(path, []byte("%%%\n%%%"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLoader(t, LoaderConfig{Name: "x", URL: path + ".source", Copy: path})
	if err := l.Status().Err; err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("got %v", err)
	}
	if err := os.WriteFile(path+".source", []byte("c.test"), 0o600); err != nil {
		t.Fatal(err)
	}
	fetch(t, l, true, "")
	fetch(t, l, false, "")
	listed(t, l, "c.test", true)
}

func TestLoaderTimeout(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	l := newLoader(t, LoaderConfig{Name: "x", URL: server.URL, Timeout: 50 * time.Millisecond})
	fetch(t, l, false, "deadline")
}

func TestNewLoaderRefuses(t *testing.T) {
	for _, url := range []string{"", "ftp://x/y", "http:///y", "http://[::1"} {
		if _, err := NewLoader(LoaderConfig{Name: "x", URL: url}); err == nil {
			t.Errorf("%q was accepted", url)
		}
	}
}

func newLoader(t *testing.T, c LoaderConfig) *Loader {
	t.Helper()
	l, err := NewLoader(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func fetch(t *testing.T, l *Loader, changed bool, wrong string) {
	t.Helper()
	got, err := l.Fetch(context.Background())
	if got != changed || (err == nil) != (wrong == "") || err != nil && !strings.Contains(err.Error(), wrong) {
		t.Errorf("got %v, %v; want %v, %q", got, err, changed, wrong)
	}
}

func listed(t *testing.T, l *Loader, domain string, want bool) {
	t.Helper()
	f := l.Status().Feed
	if f == nil {
		t.Fatal("there is no feed")
	}
	if _, ok := f.Lookup(domain); ok != want {
		t.Errorf("%s: listed is %v", domain, ok)
	}
}
