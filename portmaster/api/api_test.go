package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"safing/portmaster/api"
	"safing/portmaster/history"
)

const secret = "an-installation-secret-of-enough-length"

// fake stands in for the daemon.
type fake struct{ reloaded int }

func (*fake) Status(context.Context) api.Status {
	return api.Status{PID: 7, Default: "permit", Problems: []string{}, Lists: []api.List{}}
}

func (*fake) Why(_ context.Context, app, destination string) (api.Why, error) {
	if destination == "nonsense!" {
		return api.Why{}, fmt.Errorf("%w: %q is neither a domain nor an address", api.ErrQuestion, destination)
	}
	return api.Why{App: history.App{ID: app}, Destination: destination, Verdict: "deny", Steps: []api.Step{}}, nil
}

func (*fake) Profiles(context.Context) []api.Profile { return []api.Profile{{ID: "curl"}} }

func (f *fake) Reload(context.Context) api.Reload {
	f.reloaded++
	return api.Reload{Profiles: 1, Problems: []string{}}
}

func newServer(t *testing.T, table *history.Table, address string) (*api.Server, *fake) {
	t.Helper()
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "the page") })
	f := new(fake)
	return api.New(api.Config{Daemon: f, Table: table, Page: page, Version: "1", Token: secret, Address: address}), f
}

// overSocket serves a table on a unix socket and returns a client for it.
func overSocket(t *testing.T, table *history.Table) *api.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newServer(t, table, "127.0.0.1:8117")
	server := &http.Server{Handler: s.Socket()}
	go server.Serve(l) //nolint:errcheck // ends with Close
	t.Cleanup(func() { server.Close() })
	c, err := api.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func connection(app, verdict string) history.Connection {
	return history.Connection{
		Kind: history.KindConnect, Started: time.Unix(1e9, 0).UTC(), App: history.App{ID: app}, Protocol: "tcp",
		Destination: history.Destination{Address: netip.MustParseAddr("192.0.2.1"), Port: 443}, Verdict: verdict,
	}
}

func TestTheClientSeesWhatTheDaemonHas(t *testing.T) {
	table := history.NewTable(10, 0)
	table.Add(connection("curl", "deny"))
	table.Add(connection("curl", "tunnel"))
	table.Add(connection("ssh", "tunnel"))
	c := overSocket(t, table)
	for _, test := range []struct {
		filter history.Filter
		want   int
	}{
		{history.Filter{}, 3},
		{history.Filter{App: "curl"}, 2},
		{history.Filter{Verdict: "tunnel"}, 2},
		{history.Filter{App: "curl", Verdict: "deny"}, 1},
		{history.Filter{Limit: 1}, 1},
	} {
		got, err := c.Connections(t.Context(), test.filter, false)
		if err != nil || len(got) != test.want {
			t.Errorf("%+v: got %d connections, %v; want %d", test.filter, len(got), err, test.want)
		}
	}
	if s, err := c.Status(t.Context()); err != nil || !strings.Contains(s.Page, secret) {
		t.Errorf("status over the socket: %v, page %q has no secret", err, s.Page)
	}
	if w, err := c.Why(t.Context(), "curl", "example.com"); err != nil || w.Verdict != "deny" {
		t.Errorf("why: got %+v, %v", w, err)
	}
	if p, err := c.Profiles(t.Context()); err != nil || len(p) != 1 {
		t.Errorf("profiles: got %v, %v", p, err)
	}
	if r, err := c.Reload(t.Context()); err != nil || r.Profiles != 1 {
		t.Errorf("reload: got %v, %v", r, err)
	}
}

func TestErrorsAreSentences(t *testing.T) {
	c := overSocket(t, history.NewTable(1, 0))
	_, err := c.Why(t.Context(), "curl", "nonsense!")
	if err == nil || !strings.HasSuffix(err.Error(), `"nonsense!" is neither a domain nor an address`) {
		t.Errorf("why about nonsense: %v", err)
	}
	_, err = c.Connections(t.Context(), history.Filter{Verdict: "maybe"}, false)
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "permit") {
		t.Errorf("a verdict that does not exist: %v", err)
	}
	_, err = c.Connections(t.Context(), history.Filter{}, true)
	if err == nil || !strings.Contains(err.Error(), "history") {
		t.Errorf("the past without a history: %v", err)
	}
	_, err = api.Dial(t.Context(), filepath.Join(t.TempDir(), "none"))
	if !errors.Is(err, api.ErrNoDaemon) || !strings.Contains(err.Error(), "portmaster run") {
		t.Errorf("no daemon: %v", err)
	}
}

func TestFollowingBeginsWithTheWholeTable(t *testing.T) {
	table := history.NewTable(10, 0)
	first := table.Add(connection("curl", "tunnel"))
	c := overSocket(t, table)
	var steps []history.Delta
	enough := errors.New("enough")
	err := c.Follow(t.Context(), func(d history.Delta) error {
		steps = append(steps, d)
		switch len(steps) {
		case 1:
			table.Count(first, 10, 20)
			return nil
		case 2:
			table.Add(connection("ssh", "deny"))
			return nil
		default:
			return enough
		}
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	if d := steps[0]; !d.Reset || len(d.Connections) != 1 {
		t.Errorf("the first step is %+v", d)
	}
	if d := steps[1]; d.Reset || len(d.Connections) != 0 || len(d.Counters) != 1 || d.Counters[0].Received != 20 {
		t.Errorf("the second step is %+v", d)
	}
	if d := steps[2]; len(d.Connections) != 1 || d.Connections[0].App.ID != "ssh" {
		t.Errorf("the third step is %+v", d)
	}
}

// TestALargeTableComesInParts follows a table that is too large for one event:
// 10,000 programs with the longest command lines that the kernel notes.
func TestALargeTableComesInParts(t *testing.T) {
	const count = 10_000
	table := history.NewTable(count, 0)
	for range count {
		x := connection("curl", "tunnel")
		x.Process.Args = []string{strings.Repeat("x", 1024)}
		x.Reason = strings.Repeat("y", 600)
		table.Add(x)
	}
	c := overSocket(t, table)
	seen := make(map[uint64]bool)
	resets := 0
	enough := errors.New("enough")
	err := c.Follow(t.Context(), func(d history.Delta) error {
		if d.Reset {
			resets++
		}
		for _, x := range d.Connections {
			seen[x.ID] = true
		}
		if d.Version != 0 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || len(seen) != count || resets != 1 {
		t.Errorf("%d connections in parts with %d resets, %v", len(seen), resets, err)
	}
}

func TestTheDocumentDescribesEveryOperation(t *testing.T) {
	s, _ := newServer(t, history.NewTable(1, 0), "127.0.0.1:1")
	b, err := s.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OpenAPI string                     `json:"openapi"`
		Paths   map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/status", "/connections", "/connections/stream", "/why", "/profiles", "/reload"} {
		if doc.Paths["/api/v1"+path] == nil {
			t.Errorf("%s is not in the document", path)
		}
	}
	w := httptest.NewRecorder()
	s.Socket().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/openapi.json", nil))
	if w.Code != http.StatusOK || !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("openapi.json: got %d, version %q", w.Code, doc.OpenAPI)
	}
}
