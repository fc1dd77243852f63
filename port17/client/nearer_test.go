package client_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"safing/internal/geo"
	"safing/netmap"
	"safing/port17/client"
	"safing/port17/node"
	"safing/port17/route"
	"safing/port17/testnet"
)

// far and near are the exits of a testnet of 5 nodes.
const far, near = 3, 4

// startBetween starts nodes, of which far is in Germany and near in Japan, as is
// the destination localhost.
func startBetween(t *testing.T) (*testnet.Network, *client.Client) {
	t.Helper()
	n := testnet.Start(t, 5, func(i int, c *node.Config) {
		if i == near {
			c.Country = "JP"
		}
	})
	path := filepath.Join(t.TempDir(), "geo")
	if err := os.WriteFile(path, []byte("127.0.0.0\t127.0.0.255\t64500\tJP\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := geo.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return n, startWith(t, client.Config{Network: n.Trust, State: t.TempDir(), Geo: db, Ahead: -1})
}

// greeter says hello to whoever connects, before it was sent anything.
func greeter(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "hello") //nolint:errcheck // the client tells
			conn.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func exitOf(c *client.Conn) netmap.NodeID { return c.Route()[len(c.Route())-1].ID }

// A client learns where a name is, and has the next circuit for that end near to
// it, unless connections of another kind have learned it.
func TestNameIsNearAnotherExit(t *testing.T) {
	n, c := startBetween(t)
	port := netip.AddrPortFrom(netip.Addr{}, greeter(t).Port())
	to := client.Request{Host: "localhost", Addr: port, App: "a"}
	greeted := func(r client.Request) netmap.NodeID {
		t.Helper()
		conn := dial(t, c, r)
		defer conn.Close()
		if b, err := io.ReadAll(conn); err != nil || string(b) != "hello" {
			t.Fatalf("%q, %v", b, err)
		}
		return exitOf(conn)
	}
	forced := to
	forced.Requirements = route.Requirements{Exits: []netmap.NodeID{n.Nodes[far].ID()}}
	if got := greeted(forced); got != n.Nodes[far].ID() {
		t.Fatalf("exit %s", got.Short())
	}
	if last, ok := c.LastPlace(to); !ok || last.Country != "JP" || last.ASN != 64500 || last.Exit != "node3" {
		t.Errorf("it was in %+v, %v", last, ok)
	}
	server := httptest.NewServer(c.Handler())
	defer server.Close()
	var v client.RouteView
	r, err := http.Get(server.URL + "/v1/route?destination=localhost:80&app=a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
		t.Fatal(err)
	}
	if v.Last == nil || v.Last.Country != "JP" || v.Route[len(v.Route)-1].ID != n.Nodes[near].ID() {
		t.Errorf("the next route is %+v, as the name was in %+v", v.Route, v.Last)
	}
	if got := greeted(to); got != n.Nodes[far].ID() {
		t.Error("a circuit that is open was left")
	}
	other := to
	other.App = "b"
	if _, ok := c.LastPlace(other); ok {
		t.Error("another application knows where the name is")
	}
	c.Age(time.Hour)
	if got := greeted(to); got != n.Nodes[near].ID() {
		t.Errorf("the next circuit ends at %s", got.Short())
	}
}

// A client measures how far exits are from a destination, and goes by that rather
// than by where they say they are. Here the exit that says it is near answers
// late.
func TestExitIsFartherThanItSays(t *testing.T) {
	n, c := startBetween(t)
	liar := n.Nodes[near].Addr().Addr()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if from := netip.MustParseAddrPort(r.RemoteAddr); from.Addr() == liar {
			<-time.After(900 * time.Millisecond)
		}
	}))
	t.Cleanup(s.Close)
	to := client.Request{Addr: s.Listener.Addr().(*net.TCPAddr).AddrPort(), App: "a"}
	var exits []netmap.NodeID
	for range 4 {
		conn := dial(t, c, to)
		exits = append(exits, exitOf(conn))
		get(t, conn)
		c.Age(time.Hour)
	}
	if exits[0] != n.Nodes[near].ID() {
		t.Errorf("the first exit was not the one that says it is near")
	}
	for _, got := range exits[1:] {
		if got != n.Nodes[far].ID() {
			t.Errorf("a later exit is %s", got.Short())
		}
	}
}
