package portmaster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"safing/portmaster/history"
	"safing/portmaster/kernel"
)

// everyone says of each connection that it came from one program.
type everyone struct{ err error }

func (e everyone) Original(netip.AddrPort, uint8) (kernel.Redirect, error) {
	return kernel.Redirect{
		Destination: netip.MustParseAddrPort("192.0.2.1:443"), Cookie: 7, App: 1,
		Process: kernel.Process{PID: 42},
	}, e.err
}

// wire is a tunnel that is a TCP connection to a server of the test.
type wire struct {
	address string
	err     error

	mu       sync.Mutex
	requests []TunnelRequest
}

type wireConn struct{ *net.TCPConn }

func (wireConn) Route() []Hop {
	return []Hop{{ID: "a", Name: "entry"}, {ID: "b", Name: "middle"}, {ID: "c", Name: "exit"}}
}

func (w *wire) Dial(ctx context.Context, r TunnelRequest) (TunnelConn, error) {
	w.mu.Lock()
	w.requests = append(w.requests, r)
	w.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", w.address)
	if err != nil {
		return nil, err
	}
	return wireConn{c.(*net.TCPConn)}, nil
}

// serveEach runs a server that hands every connection to do.
func serveEach(t *testing.T, do func(*net.TCPConn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				do(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return l.Addr().String()
}

// startGateway runs a gateway; stop ends it and waits.
func startGateway(t *testing.T, tunnel Tunnel, o origins) (table *history.Table, dial func() *net.TCPConn, stop func()) {
	t.Helper()
	table = history.NewTable(100, 0)
	g := &gateway{
		tunnel: tunnel, origins: o, table: table, log: slog.New(slog.DiscardHandler),
		describe: func(r kernel.Redirect) history.Connection {
			return history.Connection{
				Started: time.Now(), Verdict: "tunnel", App: history.App{ID: "curl"},
				Destination: history.Destination{Address: r.Destination.Addr(), Port: r.Destination.Port(), Domain: "example.com"},
			}
		},
	}
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { g.serve(ctx, l) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return table, func() *net.TCPConn {
		t.Helper()
		c, err := net.DialTCP("tcp4", nil, l.Addr().(*net.TCPAddr))
		if errors.Is(err, syscall.ECONNRESET) {
			return nil // it was refused before the dialling was over
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}, stop
}

// mustReset checks that the application sees an error and not an end.
func mustReset(t *testing.T, c *net.TCPConn) {
	t.Helper()
	if c == nil {
		return
	}
	if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the application sees %v, not a reset", err)
	}
}

// ended waits until every connection of the table has ended.
func ended(t *testing.T, table *history.Table) history.Connection {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for version := uint64(0); ; {
		if err := table.Wait(ctx, version); err != nil {
			t.Fatalf("the connection does not end: %+v", table.Snapshot(history.Filter{}))
		}
		version = table.Since(0).Version
		if all := table.Snapshot(history.Filter{}); len(all) > 0 && all[0].Ended != nil {
			return all[0]
		}
	}
}

func TestBothWaysAndTheirEndsPass(t *testing.T) {
	// The server answers only when it knows that the application is done.
	tunnel := &wire{address: serveEach(t, func(c *net.TCPConn) {
		b, err := io.ReadAll(c)
		if err == nil {
			c.Write(bytes.ToUpper(b)) //nolint:errcheck // the test sees what arrives
		}
	})}
	table, dial, _ := startGateway(t, tunnel, everyone{})
	c := dial()
	sent := strings.Repeat("question ", 10_000)
	if _, err := io.WriteString(c, sent); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != strings.ToUpper(sent) {
		t.Fatalf("%d bytes came back, %v", len(got), err)
	}
	c.Close()
	e := ended(t, table)
	if e.Error != "" || e.Sent != uint64(len(sent)) || e.Received != uint64(len(sent)) || len(e.Route) != 3 {
		t.Errorf("entry: error %q, sent %d, received %d, route %v", e.Error, e.Sent, e.Received, e.Route)
	}
	if e.TLS != "plaintext" {
		t.Errorf("the connection was plaintext, the entry says %q", e.TLS)
	}
	want := TunnelRequest{Destination: netip.MustParseAddrPort("192.0.2.1:443"), Domain: "example.com", App: "curl"}
	if len(tunnel.requests) != 1 || tunnel.requests[0] != want {
		t.Errorf("the tunnel was asked for %+v", tunnel.requests)
	}
}

func TestWhatTheTunnelRefusesIsReset(t *testing.T) {
	for _, test := range []struct {
		name   string
		tunnel Tunnel
		want   string
	}{
		{"no route", &wire{err: errors.New("no exit allows this")}, "the tunnel failed, the connection was closed: no exit allows this"},
		{"no tunnel", noTunnel{}, "it was not sent in the clear"},
	} {
		t.Run(test.name, func(t *testing.T) {
			table, dial, _ := startGateway(t, test.tunnel, everyone{})
			mustReset(t, dial())
			if e := ended(t, table); !strings.Contains(e.Error, test.want) {
				t.Errorf("the entry says %q", e.Error)
			}
		})
	}
}

func TestABrokenTunnelIsNoCompleteAnswer(t *testing.T) {
	tunnel := &wire{address: serveEach(t, func(c *net.TCPConn) {
		io.WriteString(c, "half an ans") //nolint:errcheck // the test sees what arrives
		io.ReadFull(c, make([]byte, 1))  //nolint:errcheck // waits until the application has it
		c.SetLinger(0)                   //nolint:errcheck // so that closing resets
	})}
	table, dial, _ := startGateway(t, tunnel, everyone{})
	c := dial()
	if _, err := io.ReadFull(c, make([]byte, len("half an ans"))); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	mustReset(t, c)
	if e := ended(t, table); !strings.HasPrefix(e.Error, "the tunnel failed") || len(e.Route) != 3 {
		t.Errorf("the entry says %q, route %v", e.Error, e.Route)
	}
}

func TestStrangersAreReset(t *testing.T) {
	tunnel := &wire{err: errors.New("never")}
	table, dial, _ := startGateway(t, tunnel, everyone{errors.New("nobody was sent here from there")})
	mustReset(t, dial())
	if len(tunnel.requests) != 0 || table.Len() != 0 {
		t.Error("a stranger got further")
	}
}

func TestStoppingResetsWhatIsOpen(t *testing.T) {
	tunnel := &wire{address: serveEach(t, func(c *net.TCPConn) {
		io.WriteString(c, "hi") //nolint:errcheck // the test sees what arrives
		io.Copy(io.Discard, c)  //nolint:errcheck // until the gateway closes it
	})}
	table, dial, stop := startGateway(t, tunnel, everyone{})
	c := dial()
	if _, err := io.ReadFull(c, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	stop()
	mustReset(t, c)
	if e := ended(t, table); e.Error != "Portmaster stopped; the connection was closed" {
		t.Errorf("the entry says %q", e.Error)
	}
}
