package checkup

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"safing/netmap"
	"safing/port17/authority"
	"safing/port17/node"
	"safing/port17/testnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// find returns the finding of a check that has the text in it.
func find(t *testing.T, all []Finding, check, text string) Finding {
	t.Helper()
	for _, f := range all {
		if f.Check == check && strings.Contains(f.Text, text) {
			return f
		}
	}
	t.Fatalf("no finding of %s has %q: %+v", check, text, all)
	return Finding{}
}

func want(t *testing.T, all []Finding, check string, level Level, text string) {
	t.Helper()
	if f := find(t, all, check, text); f.Level != level || (f.Fix == "") != (level == OK) {
		t.Errorf("%+v, want %s", f, level)
	}
}

// outside starts a network, and a node in it with the exit policy. It returns
// what its operator knows.
func outside(t *testing.T, rules ...string) (Config, *node.Node) {
	t.Helper()
	n := testnet.Start(t, 3)
	policy, err := netmap.ParseExitPolicy(rules)
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	path := filepath.Join(state, "identity")
	key, err := node.LoadIdentity(path, "")
	if err != nil {
		t.Fatal(err)
	}
	started, err := node.Start(t.Context(), node.Config{
		Identity: key, Network: n.Trust, Listen: []string{"127.0.0.9:0"},
		ListenQUIC: []string{"127.0.0.9:0"}, ListenTLS: []string{"127.0.0.9:0"}, Name: "new", Owner: "me", Exit: policy, State: state,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { started.Close() })
	for deadline := time.Now().Add(20 * time.Second); started.Stats().Neighbours < 3 || !started.Stats().OnMap; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the node is not part of the network")
		}
	}
	d := started.Descriptor()
	return Config{
		Network: n.Trust, Listen: []string{started.Addr().String()},
		ListenQUIC: []string{d.Ways(netmap.QUIC)[0].Addr.String()}, ListenTLS: []string{d.Ways(netmap.TLS)[0].Addr.String()},
		Exit: policy, State: state, Key: path, Links: 10, Connections: 10,
	}, started
}

// A node that runs is well, and one that does not run is not on the map for long.
func TestRun(t *testing.T) {
	c, n := outside(t, "web")
	var all []Finding
	for deadline := time.Now().Add(20 * time.Second); ; { // until the others have published their links to it
		all = Run(t.Context(), c)
		reached := false
		for _, f := range all {
			reached = reached || f.Check == "reached" && f.Level != Problem
		}
		if reached || time.Now().After(deadline) {
			break
		}
	}
	want(t, all, "key", OK, n.ID().String())
	want(t, all, "state", OK, "MB left")
	want(t, all, "exit", Warning, "does not say how to reach its operator")
	want(t, all, "map", OK, "with 4 nodes")
	want(t, all, "clock", OK, "as the authority's")
	want(t, all, "address", OK, "127.0.0.9 is this machine's")
	want(t, all, "port", OK, "the node runs at tcp://"+c.Listen[0])
	want(t, all, "port", OK, "the node runs at quic://"+c.ListenQUIC[0])
	want(t, all, "port", OK, "the node runs at tls://"+c.ListenTLS[0])
	want(t, all, "listed", OK, `as "new" of "me"`)
	want(t, all, "settings", OK, "as its settings do")
	if f := find(t, all, "reached", " link to it"); f.Level == Problem {
		t.Errorf("%+v", f)
	}
	want(t, all, "files", OK, "busy node needs")

	other := c
	other.Listen = []string{"127.0.0.10:1717"}
	want(t, Run(t.Context(), other), "settings", Warning, "which is not in its settings")
	other = c
	other.ListenTLS = append([]string{"127.0.0.10:1718"}, c.ListenTLS...)
	want(t, Run(t.Context(), other), "settings", Warning, "does not have it at tls://127.0.0.10:1718")
	other = c
	other.Exit = netmap.ExitPolicy{}
	want(t, Run(t.Context(), other), "settings", Warning, "another exit policy")
	other = c
	other.Connections = 1 << 30
	want(t, Run(t.Context(), other), "files", Warning, "busy node needs")

	n.Drain(t.Context())
	n.Close()
	all = Run(t.Context(), c)
	want(t, all, "port", OK, "is free: the node does not run")
	want(t, all, "listed", Warning, "the node does not run")
}

func TestKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "identity")
	check := func() []Finding {
		r := &report{config: Config{Key: path}}
		r.checkKey()
		return r.findings
	}
	want(t, check(), "key", Warning, "there is none yet")
	if _, err := node.LoadIdentity(path, ""); err != nil {
		t.Fatal(err)
	}
	want(t, check(), "key", OK, "not encrypted")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	want(t, check(), "key", Problem, "its mode 0640 lets others read or change it")
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, check(), "key", Problem, "it is not a key file")
	path = filepath.Join(dir, "encrypted")
	if _, err := node.LoadIdentity(path, "correct horse"); err != nil {
		t.Fatal(err)
	}
	want(t, check(), "key", Problem, "no passphrase was given")
}

func TestAddress(t *testing.T) {
	for _, c := range []struct {
		address string
		private bool
		level   Level
		text    string
	}{
		{"127.0.0.1:1717", true, OK, "is this machine's"},
		{"127.0.0.1:1717", false, Problem, "is not a public address"},
		{"[::ffff:127.0.0.1]:1717", true, OK, "is this machine's"},
		{"0.0.0.0:1717", true, Problem, "is no specific address"},
		{"[::]:1717", true, Problem, "is no specific address"},
		{"192.0.2.77:1717", true, Problem, "this machine does not have"},
		{"example.org:1717", true, Problem, "example.org:1717"},
		{"127.0.0.1", true, Problem, "127.0.0.1"},
	} {
		r := &report{config: Config{Network: &netmap.Network{PrivateAddresses: c.private}, Listen: []string{c.address}}}
		r.checkAddresses()
		want(t, r.findings, "address", c.level, c.text)
	}
}

func TestClock(t *testing.T) {
	for off, level := range map[time.Duration]Level{
		0: OK, 3 * time.Second: OK, time.Minute: Warning, -time.Minute: Warning, time.Hour: Problem, -time.Hour: Problem,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
		}))
		r := &report{config: Config{Network: &netmap.Network{Authorities: []netmap.Authority{{URL: "http://127.0.0.1:1"}, {URL: server.URL}}}}}
		r.checkClock(t.Context())
		if f := r.findings[0]; f.Level != level {
			t.Errorf("%s off: %+v, want %s", off, f, level)
		}
		server.Close()
	}
	r := &report{config: Config{Network: &netmap.Network{Authorities: []netmap.Authority{{URL: "http://127.0.0.1:1"}}}}}
	r.checkClock(t.Context())
	want(t, r.findings, "clock", Warning, "no authority has answered")
}

// Who is linked to by nodes that dial it can be reached.
func TestReached(t *testing.T) {
	var ids [4]netmap.NodeID
	for i := range ids {
		ids[i] = netmap.NodeID{byte(i + 1)}
	}
	const self = 1
	for _, c := range []struct {
		linked []int // who has a link to the node
		level  Level
	}{
		{nil, Problem},
		{[]int{2, 3}, Warning},
		{[]int{0}, OK},
		{[]int{0, 2, 3}, OK},
	} {
		var nodes []netmap.Node
		for i, id := range ids {
			d := &netmap.Descriptor{ID: id}
			if i == self {
				for _, other := range c.linked {
					d.Links = append(d.Links, netmap.Link{To: ids[other]})
				}
			}
			for _, from := range c.linked {
				if from == i {
					d.Links = append(d.Links, netmap.Link{To: ids[self]})
				}
			}
			nodes = append(nodes, netmap.Node{Descriptor: d})
		}
		m, err := netmap.New("test", 1, time.Now(), time.Now().Add(time.Hour), nodes)
		if err != nil {
			t.Fatal(err)
		}
		r := &report{id: ids[self], m: m, listed: true}
		r.checkReached()
		if f := r.findings[0]; f.Level != c.level {
			t.Errorf("linked by %v: %+v, want %s", c.linked, f, c.level)
		}
	}
}

// Who asks why a node is not on the map learns that authorities want it so.
func TestSuspended(t *testing.T) {
	key, verifier, err := authority.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := authority.NewSigner("test", key)
	if err != nil {
		t.Fatal(err)
	}
	network := &netmap.Network{Name: "test", Threshold: 1, Authorities: []netmap.Authority{{URL: "http://127.0.0.1:1", Key: verifier}}}
	now := time.Now()
	said := &netmap.Moderation{Network: "test", Node: netmap.NodeID{7}, Action: netmap.Suspend, Date: now, Reason: "it changes pages"}
	signed, err := said.Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	m := &netmap.Map{ValidUntil: now.Add(time.Hour), Notices: []netmap.Notice{{Signed: signed}}}
	r := &report{config: Config{Network: network}, id: said.Node, m: m}
	r.checkListed()
	want(t, r.findings, "listed", Problem, "authorities have suspended the node: http://127.0.0.1:1: it changes pages")
	r = &report{config: Config{Network: network}, id: netmap.NodeID{8}, m: m}
	r.checkListed()
	want(t, r.findings, "listed", Warning, "the node does not run")
}

func TestKernel(t *testing.T) {
	root := t.TempDir()
	for i, c := range []struct {
		name, is string
		level    Level
	}{
		{"net/core/somaxconn", "4096\n", OK},
		{"net/core/somaxconn", "128\n", Warning},
		{"net/core/somaxconn", "x\n", Warning},
		{"net/ipv4/tcp_slow_start_after_idle", "0\n", OK},
		{"net/ipv4/tcp_slow_start_after_idle", "1\n", Warning},
		{"net/ipv4/ip_local_port_range", "32768\t60999\n", OK},
		{"net/ipv4/ip_local_port_range", "50000\t60999\n", Warning},
		{"net/ipv4/ip_local_port_range", "\n", Warning},
	} {
		dir := filepath.Join(root, fmt.Sprint(i))
		path := filepath.Join(dir, c.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(c.is), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, s := range settings() {
			f, ok := s.check(dir)
			if ok != (s.name == c.name) || ok && f.Level != c.level {
				t.Errorf("%s = %q: %+v, %v, want %s", s.name, c.is, f, ok, c.level)
			}
		}
	}
}

// A program that is not the node is told from it, whatever it answers.
func TestImpostor(t *testing.T) {
	n := testnet.Start(t, 2)
	m := n.Nodes[0].ID()
	r := &report{config: Config{Network: n.Trust}, id: m}
	r.checkMap(t.Context())
	if !r.listed {
		t.Fatal("the node is not on the map")
	}
	at := func(a net.Addr) netmap.Entrance {
		return netmap.Entrance{Addr: netip.MustParseAddrPort(a.String())}
	}
	r.checkPort(t.Context(), netmap.Entrance{Addr: n.Nodes[0].Addr()})
	want(t, r.findings, "port", OK, "the node runs")
	r.findings = nil
	r.checkPort(t.Context(), netmap.Entrance{Addr: n.Nodes[1].Addr()})
	want(t, r.findings, "port", Problem, "is not the node")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Write(make([]byte, 1<<16))
			conn.Close()
		}
	}()
	r.findings = nil
	r.checkPort(t.Context(), at(l.Addr()))
	want(t, r.findings, "port", Problem, "is not the node")
	r.listed, r.findings = false, nil
	r.checkPort(t.Context(), at(l.Addr()))
	want(t, r.findings, "port", Warning, "can't be told whether it is the node")
}
