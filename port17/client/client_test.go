package client_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/proxy"

	"safing/port17/client"
	"safing/port17/route"
	"safing/port17/testnet"
)

func start(t testing.TB, n *testnet.Network) *client.Client {
	t.Helper()
	return startWith(t, client.Config{Network: n.Trust, State: t.TempDir()})
}

func startWith(t testing.TB, config client.Config) *client.Client {
	t.Helper()
	c, err := client.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

// inUse returns the circuits of connections.
func inUse(c *client.Client) []client.CircuitView {
	return slices.DeleteFunc(c.Circuits(), func(v client.CircuitView) bool { return v.State == "ahead" || v.State == "map" })
}

// site serves a page that says who has asked for it.
func site(t testing.TB) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.RemoteAddr) }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).AddrPort()
}

func get(t testing.TB, c net.Conn) string {
	t.Helper()
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(b), "\r\n\r\n")
	return body
}

func TestDial(t *testing.T) {
	n := testnet.Start(t, 6)
	c := start(t, n)
	to := site(t)
	conn, err := c.Dial(t.Context(), client.Request{Addr: to, App: "test"})
	if err != nil {
		t.Fatal(err)
	}
	hops := conn.Route()
	if len(hops) != 3 {
		t.Fatalf("route of %d nodes", len(hops))
	}
	seen := get(t, conn)
	var exit netip.Addr
	for _, node := range n.Nodes {
		if node.ID() == hops[2].ID {
			exit = node.Addr().Addr()
		}
	}
	if !strings.HasPrefix(seen, exit.String()+":") {
		t.Errorf("the server saw %s, the exit is %s", seen, exit)
	}
}

func TestIsolation(t *testing.T) {
	c := start(t, testnet.Start(t, 6))
	to := site(t)
	for _, r := range []client.Request{{App: "a"}, {App: "a"}, {App: "b"}, {App: "a", Isolation: "x"}, {App: "a", Level: route.High}} {
		r.Addr = to
		conn, err := c.Dial(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		get(t, conn)
	}
	var got []string
	for _, v := range inUse(c) {
		got = append(got, fmt.Sprint(v.App, len(v.Nodes)))
	}
	slices.Sort(got)
	if want := "[a3 a3 a4 b3]"; fmt.Sprint(got) != want {
		t.Errorf("circuits %v, want %s", got, want)
	}
}

// Whatever node of the route dies: the connection ends with an error, and the
// next one avoids the node.
func TestNodeDies(t *testing.T) {
	for hop := range 3 {
		n := testnet.Start(t, 7)
		c := start(t, n)
		endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.Write(make([]byte, 10000))
			}
		}))
		t.Cleanup(endless.Close)
		conn, err := c.Dial(t.Context(), client.Request{Addr: endless.Listener.Addr().(*net.TCPAddr).AddrPort()})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		dead := conn.Route()[hop].ID
		for _, node := range n.Nodes {
			if node.ID() == dead {
				node.Close()
			}
		}
		if _, err := io.Copy(io.Discard, conn); err == nil {
			t.Errorf("node %d died and the connection ended well", hop+1)
		}
		next, err := c.Dial(t.Context(), client.Request{Addr: site(t)})
		if err != nil {
			t.Fatal(err)
		}
		if get(t, next); slices.ContainsFunc(next.Route(), func(h client.HopInfo) bool { return h.ID == dead }) {
			t.Errorf("the next connection uses the dead node %d", hop+1)
		}
	}
}

func serveProxy(t testing.TB, c *client.Client) string {
	t.Helper()
	return serveProxyFor(t, c, client.Request{})
}

func serveProxyFor(t testing.TB, c *client.Client, r client.Request) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveProxyOn(t, c, l, r)
}

func serveProxyOn(t testing.TB, c *client.Client, l net.Listener, r client.Request) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.ServeSOCKS(ctx, l, r) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func TestSOCKS(t *testing.T) {
	c := start(t, testnet.Start(t, 6))
	address := serveProxy(t, c)
	to := site(t)
	for _, host := range []string{"127.0.0.1", "localhost"} {
		dialer, err := proxy.SOCKS5("tcp", address, &proxy.Auth{User: "u", Password: host}, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := dialer.Dial("tcp", fmt.Sprint(host, ":", to.Port()))
		if err != nil {
			t.Fatal(err)
		}
		if got := get(t, conn); !strings.HasPrefix(got, "127.") {
			t.Errorf("%s: %q", host, got)
		}
	}
	if n := len(inUse(c)); n != 2 {
		t.Errorf("%d circuits for two pairs of credentials", n)
	}
	refused, err := proxy.SOCKS5("tcp", address, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := refused.Dial("tcp", "10.0.0.1:80"); err == nil || !strings.Contains(err.Error(), "not allowed") {
		t.Errorf("a destination that no exit allows: %v", err)
	}
}

func TestConnect(t *testing.T) {
	c := start(t, testnet.Start(t, 6))
	address := serveProxy(t, c)
	to := site(t)
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "secret") }))
	t.Cleanup(secure.Close)
	h := secure.Client()
	h.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: address})
	r, err := h.Get(secure.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if b, _ := io.ReadAll(r.Body); string(b) != "secret" {
		t.Errorf("%q", b)
	}
	for request, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":                                  "405",
		"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n":      "405",
		"\x04\x01\x00P\x7f\x00\x00\x01\r\n\r\n":                              "400",
		"CONNECT x HTTP/1.1\r\nHost: x\r\n\r\n":                              "400",
		"CONNECT 10.0.0.1:80 HTTP/1.1\r\nHost: x\r\n\r\n":                    "403",
		fmt.Sprintf("CONNECT %s HTTP/1.1\r\n\r\nGET / HTTP/1.0\r\n\r\n", to): "200",
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, request)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.Contains(line, want) {
			t.Errorf("%q: %q, %v", request, line, err)
		}
		conn.Close()
	}
}

// Each listener has its requirements and circuits, and so have different
// credentials of HTTP's users.
func TestListeners(t *testing.T) {
	c := start(t, testnet.Start(t, 7))
	to := site(t).String()
	connect := func(address, credentials string) {
		t.Helper()
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nProxy-Authorization: %s\r\n\r\n", to, to, credentials)
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatalf("%q, %v", line, err)
		}
		get(t, conn)
	}
	plain := serveProxyFor(t, c, client.Request{App: "plain"})
	long := serveProxyFor(t, c, client.Request{App: "long", Requirements: route.Requirements{Nodes: 5}})
	for _, p := range []string{plain, long} {
		for _, credentials := range []string{"Basic YTph", "Basic YTpi", "Basic YTpi"} {
			connect(p, credentials)
		}
	}
	var got []string
	for _, v := range inUse(c) {
		got = append(got, fmt.Sprint(v.App, len(v.Nodes)))
	}
	slices.Sort(got)
	if want := "[long5 long5 plain3 plain3]"; fmt.Sprint(got) != want {
		t.Errorf("circuits %v, want %s", got, want)
	}
}

// A broken connection is reset, not closed, so that nobody takes it for whole.
func TestBreakIsReset(t *testing.T) {
	n := testnet.Start(t, 6)
	c := start(t, n)
	address := serveProxy(t, c)
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			w.Write(make([]byte, 10000))
		}
	}))
	t.Cleanup(endless.Close)
	dialer, _ := proxy.SOCKS5("tcp", address, nil, nil)
	conn, err := dialer.Dial("tcp", endless.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	exit := inUse(c)[0].Nodes[2].ID
	for _, node := range n.Nodes {
		if node.ID() == exit {
			node.Close()
		}
	}
	if _, err := io.Copy(io.Discard, conn); err == nil || !strings.Contains(err.Error(), "reset") {
		t.Errorf("after the exit died: %v, want a reset", err)
	}
}

func FuzzProxy(f *testing.F) {
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x03\x09localhost\x00\x50"))
	f.Add([]byte("\x05\x01\x02\x01\x01a\x01b\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50"))
	f.Add([]byte("\x05\x01\x00\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("CONNECT localhost:80 HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, request []byte) { client.ReadProxyRequest(request) })
}
