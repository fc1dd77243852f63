package node_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/testnet"
)

// ask sends a request to the directory of a circuit's last node.
func ask(t *testing.T, c *circuit.Circuit, request string) (*stream.Stream, *http.Response, error) {
	t.Helper()
	s, err := c.Open(cell.Target{Directory: true}, []byte(request))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.SetReadDeadline(time.Now().Add(20 * time.Second))
	response, err := http.ReadResponse(bufio.NewReader(s), nil)
	return s, response, err
}

// Every node serves the map to circuits that end there, exit or not.
func TestDirectory(t *testing.T) {
	n := testnet.Start(t, 3)
	l, hops := n.Route(t, 1, 0) // node 0 is no exit
	c, _, err := circuit.Dial(l, hops, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, response, err := ask(t, c, "GET /v1/map HTTP/1.1\r\nHost: directory\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	m, err := n.Trust.Verify(signed, time.Now())
	if err != nil || len(m.Nodes) != 3 {
		t.Errorf("map %+v, %v", m, err)
	}
	_, response, err = ask(t, c, "GET /"+strings.Repeat("x", 10000)+" HTTP/1.1\r\nHost: directory\r\n\r\n")
	if err != nil || response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a long request: %v, %v", response, err)
	}
}

// A circuit has a few streams to the directory at a time. When some end, it gets
// others.
func TestDirectoryStreams(t *testing.T) {
	n := testnet.Start(t, 3)
	l, hops := n.Route(t, 1, 0)
	c, _, err := circuit.Dial(l, hops, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var open []*stream.Stream
	for {
		s, err := c.Open(cell.Target{Directory: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-s.Opened():
		case <-s.Done():
		case <-time.After(20 * time.Second):
			t.Fatal("no answer")
		}
		if s.Err() != nil {
			var ended *stream.Error
			if !errors.As(s.Err(), &ended) || ended.Reason != cell.ExitFull {
				t.Errorf("one too many: %v", s.Err())
			}
			break
		}
		if open = append(open, s); len(open) > 100 {
			t.Fatal("a circuit has 100 streams to the directory")
		}
	}
	open[0].Reset(cell.Finished)
	until := time.Now().Add(20 * time.Second)
	for {
		s, response, err := ask(t, c, "GET /v1/health HTTP/1.1\r\nHost: directory\r\n\r\n")
		if err == nil && response.StatusCode == http.StatusOK {
			return
		}
		if s.Close(); time.Now().After(until) {
			t.Fatalf("after one has ended: %v", err)
		}
	}
}
