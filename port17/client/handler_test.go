package client_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"safing/port17/client"
	"safing/port17/testnet"
)

func TestHandler(t *testing.T) {
	c := start(t, testnet.Start(t, 6))
	s := httptest.NewServer(c.Handler())
	t.Cleanup(s.Close)
	ask := func(path string, v any) int {
		t.Helper()
		r, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if r.StatusCode == http.StatusOK {
			if err := json.NewDecoder(r.Body).Decode(v); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return r.StatusCode
	}
	var m client.MapView
	if ask("/v1/map", &m); len(m.Nodes) != 6 || len(m.Nodes[0].Links) != 5 {
		t.Errorf("map %+v", m)
	}
	var v client.RouteView
	if ask("/v1/route?destination=127.0.0.1:80&level=high", &v); len(v.Route) != 4 || len(v.Candidates) == 0 {
		t.Errorf("route %+v", v)
	}
	if code := ask("/v1/route?destination=10.0.0.1:80", nil); code != http.StatusNotFound {
		t.Errorf("a destination that no exit allows: status %d", code)
	}
	var status client.Status
	if ask("/v1/status", &status); status.Nodes != 6 || status.Network != "test" {
		t.Errorf("status %+v", status)
	}
}

// Who follows the events gets the state at once and when it changes.
func TestEvents(t *testing.T) {
	c := start(t, testnet.Start(t, 6))
	s := httptest.NewServer(c.Handler())
	t.Cleanup(s.Close)
	r, err := http.Get(s.URL + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	next := func() (v client.Overview) {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &v); err != nil {
					t.Fatal(err)
				}
				return v
			}
		}
		t.Fatalf("the events ended: %v", lines.Err())
		return v
	}
	if v := next(); v.Nodes != 6 || v.Circuits != 0 {
		t.Errorf("at first %+v", v)
	}
	conn := dial(t, c, client.Request{Addr: echo(t), App: "a"})
	say(t, conn, "a")
	for {
		v := next()
		if v.Circuits == 1 && v.Streams == 1 {
			got := slices.DeleteFunc(v.Routes, func(v client.CircuitView) bool { return v.State == "map" })[0]
			if got.App != "a" || got.Sent == 0 && got.Received == 0 {
				t.Errorf("circuit %+v", got)
			}
			return
		}
	}
}
