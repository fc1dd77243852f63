//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/authority"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/directory"
	"safing/port17/link"
)

// A process is a port17 that has said that it is ready.
type process struct {
	*exec.Cmd
	ready string // what it said
	ended chan error
	log   bytes.Buffer // to be read once it has ended
}

// start runs this test's binary as port17, and returns once that serves.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "port17")
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(program, args...), ended: make(chan error, 1)}
	p.Stderr = &p.log
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	p.ready, err = bufio.NewReader(out).ReadString('\n')
	go func() { p.ended <- p.Wait() }()
	if err != nil {
		<-p.ended
		t.Fatalf("port17 %s: %v\n%s", strings.Join(args, " "), err, &p.log)
	}
	t.Cleanup(func() {
		p.Process.Kill()
	})
	return p
}

// value returns what ready says of a key.
func (p *process) value(key string) string {
	for _, f := range strings.Fields(p.ready) {
		if v, ok := strings.CutPrefix(f, key+"="); ok {
			return v
		}
	}
	return ""
}

func (p *process) wantEnd(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the process goes on")
		return nil
	}
}

// startNetwork runs an authority, and returns the network's file.
func startNetwork(t *testing.T) (file string, trust *netmap.Network) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "network.toml")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	signer, verifier, err := authority.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	trust = &netmap.Network{
		Name: "test", Threshold: 1, PrivateAddresses: true,
		Authorities: []netmap.Authority{{URL: "http://" + l.Addr().String(), Key: verifier}},
	}
	a, err := authority.New(t.Context(), authority.Config{Network: trust, Key: signer, State: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- serveHTTP(ctx, l, a.Handler(), logTo(discard(), false)) }()
	t.Cleanup(func() {
		cancel()
		<-served
	})
	if err := trust.Save(file); err != nil {
		t.Fatal(err)
	}
	return file, trust
}

// awaitMap returns a node once it is on the map, or nothing once it is off.
func awaitMap(t *testing.T, trust *netmap.Network, id string, on bool) (found netmap.Node) {
	t.Helper()
	ctx, done := context.WithTimeout(t.Context(), 20*time.Second)
	defer done()
	directory.New(directory.Config{Network: trust}).Watch(ctx, func(m *netmap.Map) { //nolint:errcheck // it ends when cancelled
		is := false
		for _, n := range m.Nodes {
			if n.ID.String() == id {
				is, found = true, n
			}
		}
		if is == on {
			done()
		}
	})
	if context.Cause(ctx) == context.DeadlineExceeded {
		t.Fatalf("the node is on the map: %v, want %v", !on, on)
	}
	return found
}

// use opens a circuit over the node alone, to a server that echoes.
func use(t *testing.T, at netmap.Node) (*link.Link, circuit.Hop, *circuit.Circuit, *stream.Stream) {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	recipient, err := at.Recipient(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l, err := link.Dial(t.Context(), at, link.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		<-l.Done()
	})
	hop := circuit.Hop{Node: at, Recipient: recipient}
	a := server.Addr().(*net.TCPAddr).AddrPort()
	c, s, err := circuit.Dial(l, []circuit.Hop{hop}, &cell.Target{Addr: a.Addr(), Port: a.Port()}, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return l, hop, c, s
}

func startNode(t *testing.T, network string, more ...string) *process {
	t.Helper()
	return start(t, append([]string{
		"node", "--network", network, "--state", t.TempDir(), "--listen", "127.0.0.1:0",
		"--name", "n", "--owner", "o", "--exit-policy", "accept 127.0.0.0/8:*",
	}, more...)...)
}

// A node that is told to end lets what it has go on, takes nothing new, and ends
// when it has nothing left.
func TestNodeDrains(t *testing.T) {
	network, trust := startNetwork(t)
	p := startNode(t, network, "--drain", "1h")
	l, hop, c, s := use(t, awaitMap(t, trust, p.value("id"), true))
	p.Process.Signal(syscall.SIGTERM)
	awaitMap(t, trust, p.value("id"), false)
	if conn, err := net.Dial("tcp", p.value("listen")); err == nil {
		conn.Close()
		t.Error("it takes connections")
	}
	fresh, _, err := circuit.Dial(l, []circuit.Hop{hop}, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	<-fresh.Done()
	wantShutDown(t, fresh)
	s.Write([]byte("y"))
	if _, err := s.Read(make([]byte, 1)); err != nil {
		t.Errorf("a stream that it has: %v", err)
	}
	c.Close()
	if err := p.wantEnd(t); err != nil {
		t.Errorf("it ended: %v\n%s", err, &p.log)
	}
}

func wantShutDown(t *testing.T, c *circuit.Circuit) {
	t.Helper()
	var ended *circuit.Error
	if err := c.Err(); !errors.As(err, &ended) || ended.Reason != cell.ShuttingDown {
		t.Errorf("the circuit ended: %v, want %q", err, cell.ShuttingDown)
	}
}

// What a node does can be seen until it has ended.
func TestNodeShowsMetrics(t *testing.T) {
	network, trust := startNetwork(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	p := startNode(t, network, "--drain", "1h", "--metrics", address)
	_, _, c, _ := use(t, awaitMap(t, trust, p.value("id"), true))
	get := func(path, want string) {
		t.Helper()
		r, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if b, err := io.ReadAll(r.Body); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %v, want %q in it:\n%s", path, err, want, b)
		}
	}
	get("/metrics", "\nport17_circuits 1\n")
	p.Process.Signal(syscall.SIGTERM)
	awaitMap(t, trust, p.value("id"), false)
	get("/metrics", "\nport17_refusing{reason=\"shutting_down\"} 1\n")
	get("/healthz", "it takes no circuits: a node shuts down")
	http.DefaultClient.CloseIdleConnections()
	c.Close()
	if err := p.wantEnd(t); err != nil {
		t.Errorf("it ended: %v\n%s", err, &p.log)
	}
}

// What has not ended in time is ended, and told why.
func TestNodeDrainsNoLonger(t *testing.T) {
	network, trust := startNetwork(t)
	p := startNode(t, network, "--drain", "10ms")
	_, _, c, _ := use(t, awaitMap(t, trust, p.value("id"), true))
	p.Process.Signal(syscall.SIGTERM)
	<-c.Done()
	wantShutDown(t, c)
	if err := p.wantEnd(t); err != nil {
		t.Errorf("it ended: %v\n%s", err, &p.log)
	}
}

// Who can't wait says so twice.
func TestNodeStopsAtOnce(t *testing.T) {
	network, trust := startNetwork(t)
	p := startNode(t, network, "--drain", "1h")
	use(t, awaitMap(t, trust, p.value("id"), true))
	p.Process.Signal(syscall.SIGTERM)
	awaitMap(t, trust, p.value("id"), false)
	p.Process.Signal(syscall.SIGTERM)
	var ended *exec.ExitError
	if err := p.wantEnd(t); !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGTERM {
		t.Errorf("it ended: %v", err)
	}
}

// The service manager hears that the node serves, lives and stops.
func TestNodeNotifies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	manager.SetReadDeadline(time.Now().Add(20 * time.Second))
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "300000")
	network, _ := startNetwork(t)
	p := startNode(t, network)
	seen := make(map[string]int)
	for seen["READY=1"] == 0 || seen["WATCHDOG=1"] < 3 {
		b := make([]byte, 100)
		n, err := manager.Read(b)
		if err != nil {
			t.Fatalf("%v, heard %v", err, seen)
		}
		seen[string(b[:n])]++
	}
	p.Process.Signal(syscall.SIGTERM)
	for seen["STOPPING=1"] == 0 {
		b := make([]byte, 100)
		n, err := manager.Read(b)
		if err != nil {
			t.Fatalf("%v, heard %v", err, seen)
		}
		seen[string(b[:n])]++
	}
	if err := p.wantEnd(t); err != nil {
		t.Errorf("it ended: %v\n%s", err, &p.log)
	}
}

func discard() command.IO { return command.IO{Out: io.Discard, Err: io.Discard} }
