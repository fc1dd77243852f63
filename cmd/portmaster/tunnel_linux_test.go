package main

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"safing/port17/testnet"
	"safing/portmaster/history"
)

// TestTunnel sends a guarded program's connection through a real network, and
// breaks one on its way.
func TestTunnel(t *testing.T) {
	g := newGuarded(t)
	network := testnet.Start(t, 5)
	file := filepath.Join(g.state, "network.toml")
	if err := network.Trust.Save(file); err != nil {
		t.Fatal(err)
	}
	g.write("portmaster.toml", fmt.Sprintf("[resolver]\nupstreams = [\"udp://127.0.0.1:9\"]\n[tunnel]\nnetwork = %q\n", file))
	g.write("profiles/dial.toml", fmt.Sprintf("paths = [%q]\ndefault = \"tunnel\"\n", g.self))
	clients := make(chan net.Addr, 10)
	server := g.serveEach("127.0.0.1:0", func(c net.Conn) {
		clients <- c.RemoteAddr()
		fmt.Fprintln(c, "hello")
	})
	endless := g.serveEach("127.0.0.3:0", func(c net.Conn) {
		clients <- c.RemoteAddr()
		for block := make([]byte, 64<<10); ; {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	})
	g.start()

	out, errs, err := g.dial(server)
	if out != "hello\n" {
		t.Fatalf("through the tunnel: %q, %q, %v\n%s", out, errs, err, &g.log)
	}
	c := g.entry("127.0.0.1", ended)
	if c.Verdict != "tunnel" || c.Error != "" || c.Received != 6 || len(c.Route) < 3 || c.Process.Path != g.self {
		t.Errorf("its entry: %+v", c)
	}
	owners := make(map[string]bool)
	for _, h := range c.Route {
		owners[h.Owner] = true
	}
	if len(owners) != len(c.Route) {
		t.Errorf("two nodes of one owner: %+v", c.Route)
	}
	if from := (<-clients).String(); !strings.HasPrefix(from, "127.24.0.1:") && !strings.HasPrefix(from, "127.25.0.1:") {
		t.Errorf("the server saw %s, which is no exit", from)
	}

	testBrokenTunnel(t, g, network, endless, clients)
	g.stop(syscall.SIGTERM)
}

// testBrokenTunnel ends all nodes during a download.
func testBrokenTunnel(t *testing.T, g *guarded, network *testnet.Network, endless string, clients <-chan net.Addr) {
	broken := make(chan error, 1)
	go func() {
		_, _, err := g.dial(endless)
		broken <- err
	}()
	<-clients
	g.entry("127.0.0.3", func(c history.Connection) bool { return len(c.Route) > 0 })
	for _, n := range network.Nodes {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-broken; err == nil {
		t.Error("a download ended well although its route broke")
	}
	if c := g.entry("127.0.0.3", ended); !strings.HasPrefix(c.Error, "the tunnel failed") {
		t.Errorf("its entry: %+v", c)
	}
}
