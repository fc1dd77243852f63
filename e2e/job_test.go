package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A site is a web server of the test, at an address of its own.
type site struct {
	addr    netip.AddrPort
	clients chan netip.Addr // where requests came from
}

func serve(t *testing.T, address string, h http.Handler) *site {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{addr: netip.MustParseAddrPort(l.Addr().String()), clients: make(chan netip.Addr, 100)}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.clients <- netip.MustParseAddrPort(r.RemoteAddr).Addr()
		h.ServeHTTP(w, r)
	})}
	go server.Serve(l) //nolint:errcheck // ends with Close
	t.Cleanup(func() { server.Close() })
	return s
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello from the server") }

// exits are the addresses of the lab's exits.
func exits(s state) []string {
	var a []string
	for _, p := range s.Processes {
		if p.Role == "node" {
			a = append(a, netip.MustParseAddrPort(p.Address).Addr().String())
		}
	}
	return a
}

// TestMainJob shows the one real thing that flows through all rooms, step by
// step in one lab.
func TestMainJob(t *testing.T) {
	needs(t, "curl")
	l := up(t)
	t.Run("tunnel", func(t *testing.T) { l.t = t; testTunnel(t, l) })
	t.Run("deny", func(t *testing.T) { l.t = t; testDeny(t, l) })
	t.Run("blocked domain", func(t *testing.T) { l.t = t; testBlockedDomain(t, l) })
	t.Run("why agrees", func(t *testing.T) { l.t = t; testWhy(t, l) })
	t.Run("profile reload", func(t *testing.T) { l.t = t; testReload(t, l) })
	t.Run("map and route", func(t *testing.T) { l.t = t; testMapAndRoute(t, l) })
	t.Run("page", func(t *testing.T) { l.t = t; testPage(t, l) })
	t.Run("exit killed", func(t *testing.T) { l.t = t; testExitKilled(t, l) })
	t.Run("second lab", func(t *testing.T) { l.t = t; testSecondLab(t, l) })
	t.Run("firewall killed", func(t *testing.T) { l.t = t; testFirewallKilled(t, l) })
	t.Run("clean", func(t *testing.T) { l.t = t; testClean(t, l) })
	l.t = t
}

func testTunnel(t *testing.T, l *lab) {
	s := serve(t, "127.99.0.1:0", http.HandlerFunc(hello))
	r := l.exec("curl", "-sS", "http://"+s.addr.String()+"/")
	if r.code != 0 || r.stdout != "hello from the server\n" {
		t.Fatalf("curl through the network: exit code %d, %q, %q", r.code, r.stdout, r.stderr)
	}
	from := <-s.clients
	if !slices.Contains(exits(l.status()), from.String()) {
		t.Errorf("the server was reached from %v, which is no exit", from)
	}
	c := l.connection("the tunnelled connection", func(c connection) bool {
		return c.Kind == "connect" && c.Destination.Port == s.addr.Port()
	})
	if !strings.HasSuffix(c.Process.Path, "/curl") || c.Process.PID == 0 || !slices.Contains(c.Process.Args, "-sS") {
		t.Errorf("process: got %+v, want curl with its arguments", c.Process)
	}
	if c.Verdict != "tunnel" || c.Reason == "" || c.Destination.Address != "127.99.0.1" {
		t.Errorf("got verdict %q to %q because %q", c.Verdict, c.Destination.Address, c.Reason)
	}
	checkRoute(t, c)
	if last := c.Route[len(c.Route)-1]; !l.nodeHas(last.Name, from.String()) {
		t.Errorf("the entry's exit is %s, but the server saw %v", last.Name, from)
	}
}

func (l *lab) nodeHas(name, address string) bool {
	for _, p := range l.status().Processes {
		if p.Name == name {
			return strings.HasPrefix(p.Address, address+":")
		}
	}
	return false
}

func checkRoute(t *testing.T, c connection) {
	t.Helper()
	nodes, owners := map[string]bool{}, map[string]bool{}
	for _, n := range c.Route {
		nodes[n.ID], owners[n.Owner] = true, true
	}
	if len(c.Route) < 3 || len(nodes) != len(c.Route) || len(owners) != len(c.Route) {
		t.Fatalf("route %+v: want at least 3 different nodes of different owners", c.Route)
	}
}

func testDeny(t *testing.T, l *lab) {
	watched := captureTo(t, netip.MustParseAddrPort("127.0.0.66:80"))
	start := time.Now()
	r := l.exec("curl", "-sSv", "http://127.0.0.66/")
	if r.code != 7 || !strings.Contains(r.stderr, "not permitted") {
		t.Errorf("curl to a denied address: exit code %d\n%s", r.code, r.stderr)
	}
	if d := time.Since(start); d > patience/2 {
		t.Errorf("the refusal took %v", d)
	}
	c := l.connection("the denied connection", func(c connection) bool {
		return c.Destination.Address == "127.0.0.66"
	})
	if c.Verdict != "deny" || !strings.Contains(c.Rule, "deny 127.0.0.66") || !strings.Contains(c.Reason, "curl.toml") {
		t.Errorf("got verdict %q by rule %q because %q", c.Verdict, c.Rule, c.Reason)
	}
	if !strings.HasSuffix(c.Process.Path, "/curl") || !slices.Contains(c.Process.Args, "http://127.0.0.66/") {
		t.Errorf("process: got %+v, want curl with its arguments", c.Process)
	}
	if n := watched.seen(); len(n) != 0 {
		t.Errorf("packets reached the denied address: %v", n)
	}
}

func testBlockedDomain(t *testing.T, l *lab) {
	var listed []struct{ Domain, Label string }
	l.json(&listed, bin("stamp"), "list", "--json", "--state", l.dir+"/stamp")
	if len(listed) == 0 {
		t.Fatal("stamp lists no domain")
	}
	domain, label := listed[0].Domain, listed[0].Label
	r := l.exec("curl", "-sS", "http://"+domain+"/")
	if r.code != 6 {
		t.Errorf("curl to %s: exit code %d, want 6 (could not resolve)\n%s", domain, r.code, r.stderr)
	}
	c := l.connection("the refused question", func(c connection) bool {
		return c.Kind == "dns" && c.Destination.Domain == domain
	})
	if c.Verdict != "deny" || !strings.Contains(c.Reason, "stamp-"+label) || !strings.Contains(c.Reason, domain) {
		t.Errorf("got verdict %q because %q; want the list and the entry named", c.Verdict, c.Reason)
	}
	if !strings.HasSuffix(c.Process.Path, "/curl") {
		t.Errorf("process: got %+v, want curl", c.Process)
	}
	// Another name below .test resolves: it is the list that refuses.
	s := serve(t, "127.0.0.1:0", http.HandlerFunc(hello))
	r = l.exec("curl", "-sS", fmt.Sprintf("http://fine.lab.test:%d/", s.addr.Port()))
	if r.code != 0 {
		t.Errorf("curl to a name that no list has: exit code %d\n%s", r.code, r.stderr)
	}
}

func testWhy(t *testing.T, l *lab) {
	state := []string{"--state", l.dir + "/portmaster"}
	r := l.run(bin("portmaster"), append([]string{"why", "curl", "127.0.0.66:80"}, state...)...)
	if r.code != 0 || !strings.Contains(r.stdout, "deny 127.0.0.66") {
		t.Errorf("why curl 127.0.0.66:80: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r = l.run(bin("portmaster"), append([]string{"why", "curl", "other.denied.test"}, state...)...)
	if r.code != 0 || !strings.Contains(r.stdout, "deny .denied.test") {
		t.Errorf("why curl other.denied.test: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// testReload breaks the profile, sees that the old one holds and that the
// error names the place, and then changes it.
func testReload(t *testing.T, l *lab) {
	path := l.dir + "/portmaster/profiles/curl.toml"
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reload := func() result { return l.run(bin("portmaster"), "reload", "--state", l.dir+"/portmaster") }
	write(strings.Replace(string(good), "deny 127.0.0.66", "deny 127.0.0.666", 1))
	if r := reload(); r.code == 0 || !strings.Contains(r.stderr, "curl.toml:") {
		t.Errorf("reload of a broken profile: exit code %d, %q", r.code, r.stderr)
	}
	if r := l.exec("curl", "-sS", "http://127.0.0.66/"); r.code != 7 {
		t.Errorf("the old profile is gone: curl's exit code is %d\n%s", r.code, r.stderr)
	}
	write(strings.Replace(string(good), "deny 127.0.0.66", "deny 127.0.0.67", 1))
	if r := reload(); r.code != 0 {
		t.Errorf("reload: exit code %d, %q", r.code, r.stderr)
	}
	if r := l.exec("curl", "-sSv", "http://127.0.0.67/"); r.code != 7 || !strings.Contains(r.stderr, "not permitted") {
		t.Errorf("the new rule does not hold: exit code %d\n%s", r.code, r.stderr)
	}
	write(string(good))
	if r := reload(); r.code != 0 {
		t.Errorf("reload: exit code %d, %q", r.code, r.stderr)
	}
}

func testMapAndRoute(t *testing.T, l *lab) {
	socket := "--socket=" + l.dir + "/client/client.sock"
	var m struct{ Nodes []json.RawMessage }
	l.json(&m, bin("port17"), "map", "--json", socket)
	if len(m.Nodes) != 7 {
		t.Errorf("the map has %d nodes, want 7", len(m.Nodes))
	}
	r := l.run(bin("port17"), "route", "127.99.0.1:80", socket)
	if r.code != 0 || r.stdout == "" {
		t.Errorf("port17 route: exit code %d\n%s", r.code, r.stderr)
	}
}

// flood answers without end.
func flood(w http.ResponseWriter, r *http.Request) {
	block := make([]byte, 64<<10)
	for r.Context().Err() == nil {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// testExitKilled ends the exit of a running download. The download must fail,
// nothing may reach the server but from exits, and the next one takes another
// route.
func testExitKilled(t *testing.T, l *lab) {
	pages := http.NewServeMux()
	pages.HandleFunc("/", flood)
	pages.HandleFunc("/hello", hello)
	s := serve(t, "127.99.0.2:0", pages)
	watched := captureTo(t, s.addr)
	ended := make(chan result, 1)
	go func() { ended <- l.exec("curl", "-sS", "-o", "/dev/null", "http://"+s.addr.String()+"/") }()
	<-s.clients
	c := l.connection("the download", func(c connection) bool {
		return c.Kind == "connect" && c.Destination.Port == s.addr.Port() && len(c.Route) > 0
	})
	exit := c.Route[len(c.Route)-1].Name
	if err := syscall.Kill(l.pid("node", exit), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := <-ended; r.code == 0 {
		t.Errorf("the download ended well although its exit was killed")
	}
	l.connection("the broken download with its error", func(d connection) bool { return d.ID == c.ID && d.Error != "" })

	if r := l.exec("curl", "-sS", "http://"+s.addr.String()+"/hello"); r.code != 0 {
		t.Errorf("the next download: exit code %d\n%s", r.code, r.stderr)
	}
	next := l.connection("the next download", func(d connection) bool {
		return d.ID != c.ID && d.Destination.Port == s.addr.Port() && len(d.Route) > 0
	})
	if got := next.Route[len(next.Route)-1].Name; got == exit {
		t.Errorf("the next connection used the dead exit %s", got)
	}
	allowed := exits(l.status())
	for from, n := range watched.seen() {
		if from != s.addr.Addr() && !slices.Contains(allowed, from.String()) {
			t.Errorf("%d packets reached the server from %v, which is no exit", n, from)
		}
	}
}

// testSecondLab starts one beside the first, in its folder and with its ports.
func testSecondLab(t *testing.T, l *lab) {
	for _, command := range []string{"up", "clean"} {
		r := l.run(bin("lab"), command, "--state", l.dir)
		if r.code != 1 || r.stderr != fmt.Sprintf("lab: a lab already runs in %s: stop it with Ctrl-C there, or use another folder with --state\n", l.dir) {
			t.Errorf("a second lab %s: exit code %d\n%s", command, r.code, r.stderr)
		}
	}
	r := l.run(bin("lab"), "up", "--state", filepath.Join(t.TempDir(), "other"))
	if r.code != 1 || !strings.Contains(r.stderr, "stop it, or choose another port with --socks") {
		t.Errorf("a second lab with the same ports: exit code %d\n%s", r.code, r.stderr)
	}
}

// testClean stops the lab, whose firewall was killed, and removes its folder:
// nothing of it is left on the machine.
func testClean(t *testing.T, l *lab) {
	cgroup := l.status().Cgroup
	before := pins(t)
	l.stop()
	if _, err := os.Stat(cgroup); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the guarded group is left: %v", err)
	}
	if after := pins(t); len(after) != len(before)-1 {
		t.Errorf("%d guards were pinned in the kernel before the lab stopped, and %d after", len(before), len(after))
	}
	if r := l.run(bin("lab"), "clean", "--state", l.dir); r.code != 0 {
		t.Errorf("lab clean: exit code %d\n%s", r.code, r.stderr)
	}
	if _, err := os.Stat(l.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lab's folder is left: %v", err)
	}
}

// pins are the folders of guards that are pinned in the kernel.
func pins(t *testing.T) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir("/run/portmaster/pins")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return entries
}

// testFirewallKilled kills Portmaster: nothing may leave unjudged.
func testFirewallKilled(t *testing.T, l *lab) {
	s := serve(t, "127.99.0.3:0", http.HandlerFunc(hello))
	watched := captureTo(t, s.addr)
	if err := syscall.Kill(l.pid("portmaster", "portmaster"), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := l.exec("curl", "-sS", "-m", "5", "http://"+s.addr.String()+"/"); r.code == 0 {
		t.Error("curl got out although the firewall was killed")
	}
	if n := watched.seen(); len(n) != 0 {
		t.Errorf("packets reached the server: %v", n)
	}
}
