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
	exits int // how many of the last nodes are; 0 means one
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

// host makes one, which may have more addresses.
func (e *estate) host(addr netip.Addr, more ...netip.Addr) *netns.Namespace {
	e.t.Helper()
	n, err := e.wan.Add(addr, more...)
	if err != nil {
		e.t.Fatal(err)
	}
	e.hosts[addr] = n
	return n
}

// A program is one that runs on a host.
type program struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ready  map[string]string // what it said when it was ready
	ended  chan struct{}
}

// kill ends the program as a failure of its machine's memory would: it can do
// nothing any more, and the kernel closes its connections.
func (p *program) kill() {
	p.cmd.Process.Kill() //nolint:errcheck // it may have ended
	<-p.ended
}

// run starts port17 on a host, waits until it is ready, and returns what it then
// says. It ends with the test.
func (e *estate) run(host netip.Addr, args ...string) (ready map[string]string) {
	e.t.Helper()
	p, err := e.start(host, args...)
	if err != nil {
		e.t.Fatal(err)
	}
	return p.ready
}

// start is run for any goroutine.
func (e *estate) start(host netip.Addr, args ...string) (*program, error) {
	p := &program{cmd: exec.Command(bin("port17"), args...), ended: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := e.hosts[host].Do(p.cmd.Start); err != nil {
		return nil, err
	}
	lines := make(chan string, 1)
	go func() {
		defer close(p.ended)
		defer p.cmd.Wait() //nolint:errcheck // the log says how it ended
		s := bufio.NewScanner(out)
		for s.Scan() {
			if strings.HasPrefix(s.Text(), "ready ") {
				lines <- s.Text()
			}
		}
	}()
	e.t.Cleanup(func() {
		p.cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
		<-p.ended
		if e.t.Failed() {
			log := p.stderr.Bytes()
			e.t.Logf("port17 %s on %v:\n%s", args[0], host, log[max(0, len(log)-maxLog):])
		}
	})
	select {
	case line := <-lines:
		p.ready = make(map[string]string)
		for _, word := range strings.Fields(line)[1:] {
			key, value, _ := strings.Cut(word, "=")
			p.ready[key] = value
		}
	case <-p.ended:
		return nil, fmt.Errorf("port17 %s ended: %s", args[0], &p.stderr)
	case <-time.After(patience):
		return nil, fmt.Errorf("port17 %s was not ready within %v", args[0], patience)
	}
	return p, nil
}

const maxLog = 4000 // bytes of a program's log that are shown

// Hosts of a small network. All nodes but the last ones are no exits.
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
		if i >= nodes-max(e.exits, 1) {
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
