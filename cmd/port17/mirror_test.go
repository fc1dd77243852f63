package main

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// With --mirror-listen anybody gets the map from a node.
func TestNodeMirrors(t *testing.T) {
	network, trust := startNetwork(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	p := startNode(t, network, "--mirror-listen", address)
	awaitMap(t, trust, p.value("id"), true)
	defer http.DefaultClient.CloseIdleConnections()
	r, err := http.Get("http://" + address + "/v1/map?wait=30")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	signed, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := trust.Verify(signed, time.Now()); r.StatusCode != http.StatusOK || err != nil {
		t.Errorf("%s: %v", r.Status, err)
	}
}
