package link_test

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/link"
	"safing/port17/link/wrap"
	"safing/tinker"
)

// newWrapped returns a node with an entrance, and its listener.
func newWrapped(t testing.TB, w netmap.Wrapping) (*node, net.Listener) {
	t.Helper()
	if w == netmap.TCP {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return newNode(t, l.Addr().(*net.TCPAddr).AddrPort()), l
	}
	id, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := wrap.Listen(t.Context(), w, "127.0.0.1:0", wrap.Config{Node: netmap.NodeID(id)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Wait)
	d := &netmap.Descriptor{ID: netmap.NodeID(id), Name: "node", Owner: "owner"}
	d.Entrances = []netmap.Entrance{{Wrapping: w, Addr: netip.MustParseAddrPort(l.Addr().String())}}
	keys, err := tinker.NewPrekeys(tinker.PrekeyConfig{Identity: d.ID, Binding: d.Binding()})
	if err != nil {
		t.Fatal(err)
	}
	return &node{Node: describe(d, keys), key: key, keys: keys, accepted: make(chan accepted, 100)}, l
}

// forWrappings runs a test in each wrapping but plain TCP.
func forWrappings(t *testing.T, test func(*testing.T, netmap.Wrapping)) {
	for _, w := range []netmap.Wrapping{netmap.QUIC, netmap.TLS} {
		t.Run(w.String(), func(t *testing.T) { test(t, w) })
	}
}

func TestWrapped(t *testing.T) {
	forWrappings(t, func(t *testing.T, w netmap.Wrapping) {
		const circuits, count = 8, 1000
		k := newTaker()
		n, listener := newWrapped(t, w)
		n.serve(t, listener, k.config(t, true))
		l := dial(t, n.Node, link.Config{Wrappings: []netmap.Wrapping{w}})
		var running sync.WaitGroup
		for range circuits {
			running.Go(func() {
				g, in := open(t, l)
				for at := uint32(4); at < count; at += 12 {
					push(t, g, at, 12)
				}
				in.want(t, 0, count)
			})
			running.Go(func() { (<-k).want(t, 0, count) })
		}
		running.Wait()
		other := n.link(t)
		if l.Wrapping() != w || other.Wrapping() != w {
			t.Errorf("the ends are in %s and %s, want %s", l.Wrapping(), other.Wrapping(), w)
		}
		if l.RTT() <= 0 {
			t.Error("the round trip was not measured")
		}
		if l.RemoteAddr().String() != listener.Addr().String() {
			t.Errorf("the other end is at %s, want %s", l.RemoteAddr(), listener.Addr())
		}
	})
}

// What was queued arrives before a link that is finished ends at both sides.
func TestWrappedFinish(t *testing.T) {
	forWrappings(t, func(t *testing.T, w netmap.Wrapping) {
		k := newTaker()
		n, listener := newWrapped(t, w)
		n.serve(t, listener, k.config(t, false))
		l := dial(t, n.Node, link.Config{Wrappings: []netmap.Wrapping{w}})
		g, in := open(t, l)
		push(t, g, 4, 1000)
		l.Finish()
		got := <-k
		got.want(t, 0, 1004)
		got.wantEnd(t, cell.LinkBroken, 0)
		in.wantEnd(t, cell.LinkBroken, 0)
		<-l.Done()
		if !errors.Is(l.Err(), io.EOF) {
			t.Errorf("the link ended: %v, want %v", l.Err(), io.EOF)
		}
		<-n.link(t).Done()
	})
}

// A node's refusal arrives whatever else was sent, so that the client learns the
// prekeys that there are.
func TestWrappedRefusal(t *testing.T) {
	for _, w := range []netmap.Wrapping{netmap.TCP, netmap.QUIC, netmap.TLS} {
		t.Run(w.String(), func(t *testing.T) {
			n, listener := newWrapped(t, w)
			n.serve(t, listener, link.Config{Descriptor: func() []byte { return []byte("newer") }})
			other, err := tinker.NewPrekeys(tinker.PrekeyConfig{Identity: n.ID, Binding: n.Binding()})
			if err != nil {
				t.Fatal(err)
			}
			n.Keys.Prekeys = other.Public()
			l := dial(t, n.Node, link.Config{Wrappings: []netmap.Wrapping{w}})
			in := send(t, l)
			in.wantEnd(t, cell.LinkBroken, 0)
			<-l.Done()
			var retry *tinker.RetryError
			if !errors.As(l.Err(), &retry) {
				t.Errorf("the link ended: %v, want the node's refusal", l.Err())
			}
		})
	}
}

// A connection in a wrapping that stays silent, or says something else than a
// hello, is no link, and goes.
func TestWrappedStrangers(t *testing.T) {
	forWrappings(t, func(t *testing.T, w netmap.Wrapping) {
		n, listener := newWrapped(t, w)
		n.serve(t, listener, link.Config{})
		conn, err := wrap.Dial(t.Context(), n.ID, n.Entrances[0])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write(make([]byte, 2*cell.Size)) //nolint:errcheck // the other end tells
		if a := <-n.accepted; a.err == nil {
			t.Error("a hello of zeros made a link")
		}
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("zeros were answered")
		}
	})
}

// Dial goes on to the next wrapping when the first one leads nowhere.
func TestDialNextWrapping(t *testing.T) {
	n, listener := newWrapped(t, netmap.TLS)
	n.serve(t, listener, link.Config{})
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	d := *n.Descriptor
	d.Addresses = []netip.AddrPort{closed.Addr().(*net.TCPAddr).AddrPort()}
	node := netmap.Node{Descriptor: &d, Keys: n.Keys}
	conn, err := link.Dial(t.Context(), node, link.Config{})
	if err == nil {
		conn.Close()
		t.Error("plain TCP led somewhere")
	}
	l := dial(t, node, link.Config{Wrappings: []netmap.Wrapping{netmap.TCP, netmap.QUIC, netmap.TLS}})
	if l.Wrapping() != netmap.TLS {
		t.Errorf("the link is in %s, want tls", l.Wrapping())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if l, err := link.Dial(ctx, n.Node, link.Config{Wrappings: []netmap.Wrapping{netmap.QUIC}}); err == nil {
		l.Close()
		t.Error("there is a link in a wrapping that the node does not offer")
	}
}

// Whoever looks at a node's web server while it carries links sees no difference.
func TestProbeBesideLinks(t *testing.T) {
	n, listener := newWrapped(t, netmap.TLS)
	n.serve(t, listener, link.Config{})
	dial(t, n.Node, link.Config{Wrappings: []netmap.Wrapping{netmap.TLS}})
	conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /link HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") //nolint:errcheck // the answer tells
	answer, err := io.ReadAll(conn)
	if err != nil || len(answer) < 12 || string(answer[:12]) != "HTTP/1.1 404" {
		t.Errorf("%q, %v", answer, err)
	}
}
