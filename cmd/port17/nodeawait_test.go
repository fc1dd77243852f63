//go:build unix

package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"safing/internal/command"
)

// A lockedText takes what several goroutines write.
type lockedText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A node that the network does not take ends with the authority's reason.
func TestJoinRefused(t *testing.T) {
	_, trust := startNetwork(t)
	upstream, err := url.Parse(trust.Authorities[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(upstream)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Error(w, "its name is taken", http.StatusUnprocessableEntity)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	dir := t.TempDir()
	file := filepath.Join(dir, "trust.toml")
	refusing := *trust
	refusing.Authorities[0].URL = s.URL
	if err := refusing.Save(file); err != nil {
		t.Fatal(err)
	}
	var errs lockedText
	args := []string{
		"node", "join", "--network", file, "--name", "n", "--owner", "o", "--listen", "127.0.0.1:0",
		"--state", filepath.Join(dir, "state"), "--out", filepath.Join(dir, "node.toml"), "--drain", "0s", "--wait",
	}
	code := command.Run(t.Context(), "port17", description, &grammar{}, args, command.IO{Out: io.Discard, Err: &errs})
	if code != 1 || !strings.Contains(errs.String(), "port17: the network does not take the node: ") || !strings.Contains(errs.String(), "its name is taken") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}
