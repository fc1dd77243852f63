package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"safing/netmap"
	"safing/port17/client"
	"safing/port17/node"
	"safing/port17/testnet"
)

// TestRunning runs scripts beside a network of six nodes and a client.
func TestRunning(t *testing.T) {
	countries := []string{"DE", "FR", "NL", "US", "SE", "CH"}
	n := testnet.Start(t, len(countries), func(i int, c *node.Config) { c.Country = countries[i] })
	state := t.TempDir()
	enterBy(t, state, n.Nodes[0].ID(), n.Nodes[1].ID())
	c, err := client.New(t.Context(), client.Config{Network: n.Trust, State: state})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, "client.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: c.Handler(), ReadHeaderTimeout: time.Second}
	go server.Serve(listener) //nolint:errcheck // it ends with the test
	t.Cleanup(func() { server.Close() })
	if err := n.Trust.Save(filepath.Join(dir, "network.toml")); err != nil {
		t.Fatal(err)
	}
	saveMap(t, n.Trust.Authorities[0].URL, filepath.Join(dir, "map"))
	testscript.Run(t, testscript.Params{Dir: "testdata/running", Setup: func(e *testscript.Env) error {
		e.Setenv("SOCKET", filepath.Join(dir, "client.sock"))
		e.Setenv("NETWORK", filepath.Join(dir, "network.toml"))
		e.Setenv("MAP", filepath.Join(dir, "map"))
		e.Setenv("EXIT", n.Nodes[4].ID().String())
		e.Setenv("OTHER", n.Nodes[5].ID().String())
		return nil
	}})
}

// enterBy makes the client that has the folder use these entries.
func enterBy(t *testing.T, state string, ids ...netmap.NodeID) {
	t.Helper()
	var entries []map[string]any
	for _, id := range ids {
		entries = append(entries, map[string]any{"id": id, "added": time.Now(), "until": time.Now().Add(time.Hour)})
	}
	b, err := json.Marshal(entries)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "entries.json"), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func saveMap(t *testing.T, url, path string) {
	t.Helper()
	r, err := http.Get(url + "/v1/map")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
