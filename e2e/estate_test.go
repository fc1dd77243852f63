package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"safing/internal/netns"
	"safing/internal/wan"
)

// An estate is hosts with links between them, each a network namespace, and
// programs that run on them.
type estate struct {
	t     *testing.T
	dir   string
	wan   *wan.Switch
	hosts map[netip.Addr]*netns.Namespace
}

func newEstate(t *testing.T, l wan.Link) *estate {
	t.Helper()
	needs(t)
	e := &estate{t: t, dir: t.TempDir(), wan: wan.New(l, 1), hosts: make(map[netip.Addr]*netns.Namespace)}
	t.Cleanup(func() {
		e.wan.Close()
		for _, n := range e.hosts {
			n.Close()
		}
	})
	return e
}

// host makes one.
func (e *estate) host(addr netip.Addr) *netns.Namespace {
	e.t.Helper()
	n, err := e.wan.Add(addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.hosts[addr] = n
	return n
}

// run starts port17 on a host and waits until it is ready. It ends with the test.
func (e *estate) run(host netip.Addr, args ...string) (ready map[string]string) {
	e.t.Helper()
	cmd := exec.Command(bin("port17"), args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	if err := e.hosts[host].Do(cmd.Start); err != nil {
		e.t.Fatal(err)
	}
	lines := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cmd.Wait() //nolint:errcheck // the log says how it ended
		s := bufio.NewScanner(out)
		for s.Scan() {
			if strings.HasPrefix(s.Text(), "ready ") {
				lines <- s.Text()
			}
		}
	}()
	e.t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
		<-ended
		if e.t.Failed() {
			e.t.Logf("port17 %s on %v:\n%s", args[0], host, &stderr)
		}
	})
	select {
	case line := <-lines:
		ready = make(map[string]string)
		for _, word := range strings.Fields(line)[1:] {
			key, value, _ := strings.Cut(word, "=")
			ready[key] = value
		}
	case <-ended:
		e.t.Fatalf("port17 %s ended", args[0])
	case <-time.After(patience):
		e.t.Fatalf("port17 %s was not ready within %v", args[0], patience)
	}
	return ready
}

// Hosts of a small network. All nodes but the last are no exits.
const (
	linkPort      = 1717
	authorityPort = 8120
)

var (
	authorityHost = netip.MustParseAddr("10.1.0.1")
	clientHost    = netip.MustParseAddr("10.2.0.1")
	serverHost    = netip.MustParseAddr("10.3.0.1")
)

func nodeHost(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(11 + i), 0, 1}) }

// network starts an authority, nodes and a client, each on a host of its own,
// and returns the client's SOCKS proxy. before is called when the hosts are
// there and nothing runs on them.
func (e *estate) network(nodes int, before func()) (socks string) {
	e.t.Helper()
	for _, h := range []netip.Addr{authorityHost, clientHost, serverHost} {
		e.host(h)
	}
	for i := range nodes {
		e.host(nodeHost(i))
	}
	before()
	file, state := filepath.Join(e.dir, "network.toml"), filepath.Join(e.dir, "authority")
	at := netip.AddrPortFrom(authorityHost, authorityPort).String()
	if out, err := exec.Command(bin("port17"), "authority", "init", "--state", state, "--network", "test",
		"--url", "http://"+at, "--out", file, "--private-addresses").CombinedOutput(); err != nil {
		e.t.Fatalf("port17 authority init: %v\n%s", err, out)
	}
	e.run(authorityHost, "authority", "run", "--state", state, "--listen", at)
	for i := range nodes {
		name, policy := fmt.Sprint("node", i), "none"
		if i == nodes-1 {
			policy = "accept 10.0.0.0/8:*"
		}
		e.run(nodeHost(i), "node", "--network", file, "--state", filepath.Join(e.dir, name), "--name", name, "--owner", "owner"+name,
			"--listen", netip.AddrPortFrom(nodeHost(i), linkPort).String(), "--exit-policy="+policy)
	}
	return e.run(clientHost, "client", "--network", file, "--state", filepath.Join(e.dir, "client"), "--socks", "127.0.0.1:0")["socks"]
}

// listen listens on a host.
func (e *estate) listen(at netip.AddrPort) net.Listener {
	e.t.Helper()
	var l net.Listener
	err := e.hosts[at.Addr()].Do(func() (err error) { l, err = net.Listen("tcp", at.String()); return err })
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { l.Close() })
	return l
}
