package probe_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/node"
	"safing/port17/probe"
	"safing/port17/testnet"
)

// A wire stands between exits and a server. It passes connections on, from the
// address that they come from, and does something to those of one exit.
type wire struct {
	t      *testing.T
	server string
	from   netip.Addr
	do     func(client, server net.Conn) // copies from one to the other
}

// start returns where the wire begins.
func (w *wire) start() string {
	l, err := net.Listen("tcp", "127.99.0.2:0")
	if err != nil {
		w.t.Fatal(err)
	}
	var running sync.WaitGroup
	w.t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { w.pass(conn) })
		}
	})
	return l.Addr().String()
}

func (w *wire) pass(client net.Conn) {
	defer client.Close()
	from := netip.MustParseAddrPort(client.RemoteAddr().String()).Addr()
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	server, err := dialer.Dial("tcp", w.server)
	if err != nil {
		w.t.Error(err)
		return
	}
	defer server.Close()
	if from == w.from {
		w.do(client, server)
		return
	}
	replace("", "")(client, server)
}

// replace passes on what comes from both sides, with another text for one in what
// the server says.
func replace(old, with string) func(client, server net.Conn) {
	return func(client, server net.Conn) {
		go func() {
			io.Copy(server, client)
			server.Close()
		}()
		b := make([]byte, 8<<10)
		for {
			n, err := server.Read(b)
			if _, writing := client.Write(bytes.ReplaceAll(b[:n], []byte(old), []byte(with))); err != nil || writing != nil {
				return
			}
		}
	}
}

// intercept ends TLS itself, and leaves all else alone.
func intercept(t *testing.T) func(client, server net.Conn) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return func(client, server net.Conn) {
		first := make([]byte, 1)
		if _, err := io.ReadFull(client, first); err != nil {
			return
		}
		client = &prefixed{client, io.MultiReader(bytes.NewReader(first), client)}
		if first[0] == 22 {
			client = tls.Server(client, &tls.Config{Certificates: []tls.Certificate{certificate}})
			server = tls.Client(server, &tls.Config{InsecureSkipVerify: true})
		}
		replace("", "")(client, server)
	}
}

type prefixed struct {
	net.Conn
	r io.Reader
}

func (p *prefixed) Read(b []byte) (int, error) { return p.r.Read(b) }

// An exit between which and the server something is changed is bad, and another
// one on the same network is not.
func TestBadExit(t *testing.T) {
	n := testnet.Start(t, 4)
	m := mapOf(t, n)
	bad, good := nodeOf(t, m, n.Nodes[2]), nodeOf(t, m, n.Nodes[3])
	for _, test := range []struct {
		name string
		do   func(client, server net.Conn)
		want string
	}{
		{"nothing", replace("", ""), ""},
		{"a page is changed", replace("</body>", "<script src=//ads></script></body>"), "not what was sent"},
		{"a header is added", replace("no-store", "private"), "not what was sent"},
		{"TLS is intercepted", intercept(t), "its certificate is not the server's"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &wire{t: t, from: bad.IPs()[0], do: test.do}
			real := serve(t)
			w.server = probe.ListenAddr(real)
			probe.SetTargets(t, real, w.start())
			p := probe.New(probe.Config{Server: real})
			r, err := p.Probe(t.Context(), bad, m)
			if err != nil || r.Exit == nil {
				t.Fatalf("%+v, %v", r, err)
			}
			if test.want == "" && (r.Exit.Bad != nil || r.Exit.Err != nil || !r.Exit.Own(bad)) {
				t.Errorf("%+v", r.Exit)
			}
			if test.want != "" && (r.Exit.Bad == nil || !strings.Contains(r.Exit.Bad.Error(), test.want)) {
				t.Errorf("%+v, want %q", r.Exit, test.want)
			}
			if r, err = p.Probe(t.Context(), good, m); err != nil || r.Exit.Bad != nil || r.Exit.Err != nil {
				t.Errorf("%+v, %v", r.Exit, err)
			}
		})
	}
}

// What an exit's policy says of the server decides what is tested.
func TestExitPolicy(t *testing.T) {
	server := serve(t)
	port := netip.MustParseAddrPort(probe.ListenAddr(server)).Port()
	rules := [][]string{2: {fmt.Sprintf("accept 127.99.0.1/32:%d", port)}, 3: {"accept *:80"}}
	n := testnet.Start(t, 4, func(i int, c *node.Config) {
		var err error
		if c.Exit, err = netmap.ParseExitPolicy(rules[i]); err != nil {
			t.Error(err)
		}
	})
	m := mapOf(t, n)
	p := probe.New(probe.Config{Server: server})
	test := func(i int) *probe.Exit {
		t.Helper()
		r, err := p.Probe(t.Context(), nodeOf(t, m, n.Nodes[i]), m)
		if err != nil {
			t.Fatal(err)
		}
		return r.Exit
	}
	if e := test(0); e != nil {
		t.Errorf("no exit: %+v", e)
	}
	if e := test(2); e.Bad != nil || e.Err != nil || e.Opens || len(e.Sources) != 1 {
		t.Errorf("an exit to one port: %+v", e)
	}
	if e := test(3); e.Bad != nil || e.Err == nil || !strings.Contains(e.Err.Error(), "does not lead to the server") {
		t.Errorf("an exit to elsewhere: %+v", e)
	}
}
