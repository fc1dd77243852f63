package probe_test

import (
	"crypto/ed25519"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/directory"
	"safing/port17/link"
	"safing/port17/link/wrap"
	"safing/port17/probe"
	"safing/tinker"
)

// A pretended node takes links at some of the addresses that it publishes.
type pretended struct {
	netmap.Node
	key     ed25519.PrivateKey
	prekeys *tinker.Prekeys
}

// publish sends what the node says of itself to the authorities.
func (p *pretended) publish(t *testing.T, c *directory.Client) {
	t.Helper()
	signed, err := p.Sign(p.key)
	if err == nil {
		err = c.Publish(t.Context(), signed)
	}
	if err == nil {
		signed, err = p.Keys.Sign(p.key)
	}
	if err == nil {
		err = c.PublishKeys(t.Context(), signed)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pretend makes a node with ways such as "tcp 127.0.0.1" or "quic ::1". One may
// be "closed", "silent", if connections are taken and nobody answers, or
// "stolen", if somebody with other keys does.
func pretend(t *testing.T, ways ...string) *pretended {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &netmap.Descriptor{ID: netmap.NodeID(key.Public().(ed25519.PublicKey)), Name: "pretended", Owner: "me", Published: time.Now().UTC().Truncate(time.Second)}
	p := &pretended{key: key}
	stranger, err := tinker.NewPrekeys(tinker.PrekeyConfig{Identity: netmap.NodeID{1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stranger.Close)
	var begin []func()
	for _, way := range ways {
		parts := append(strings.Fields(way), "")
		w, err := netmap.ParseWrapping(parts[0])
		if err != nil {
			t.Fatal(err)
		}
		l := listen(t, d.ID, w, net.JoinHostPort(parts[1], "0"))
		at := netip.MustParseAddrPort(l.Addr().String())
		if w == netmap.TCP {
			d.Addresses = append(d.Addresses, at)
		} else {
			d.Entrances = append(d.Entrances, netmap.Entrance{Wrapping: w, Addr: at})
		}
		switch parts[2] {
		case "closed":
			l.Close()
		case "silent":
		case "stolen":
			begin = append(begin, func() { answer(t, l, stranger) })
		default:
			begin = append(begin, func() { answer(t, l, p.prekeys) })
		}
	}
	if p.prekeys, err = tinker.NewPrekeys(tinker.PrekeyConfig{Identity: d.ID, Binding: d.Binding()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.prekeys.Close)
	for _, f := range begin {
		f()
	}
	p.Node = netmap.Node{Descriptor: d, Keys: &netmap.Keys{ID: d.ID, Binding: d.Binding(), Prekeys: p.prekeys.Public(), Published: d.Published}}
	return p
}

func listen(t *testing.T, id netmap.NodeID, w netmap.Wrapping, address string) net.Listener {
	t.Helper()
	var l net.Listener
	var err error
	if w == netmap.TCP {
		l, err = net.Listen("tcp", address)
	} else {
		l, err = wrap.Listen(t.Context(), w, address, wrap.Config{Node: id})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		if w, ok := l.(*wrap.Listener); ok {
			w.Wait()
		}
	})
	return l
}

// answer takes links with the keys until the test ends, and ends them then.
func answer(t *testing.T, l net.Listener, keys *tinker.Prekeys) {
	over := make(chan struct{})
	var running sync.WaitGroup
	t.Cleanup(func() {
		close(over)
		l.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				taken, err := link.Accept(conn, keys, link.Config{})
				if err != nil {
					conn.Close()
					return
				}
				select {
				case <-taken.Done():
				case <-over:
					taken.Close()
					<-taken.Done()
				}
			})
		}
	})
}

// All ways to a node are tried, and one family of plain addresses has to be whole.
func TestReach(t *testing.T) {
	for _, test := range []struct {
		name      string
		ways      []string
		reachable bool
		broken    []int
	}{
		{"whole", []string{"tcp 127.0.0.1", "quic 127.0.0.1", "tls 127.0.0.1"}, true, nil},
		{"both families", []string{"tcp 127.0.0.1", "tcp ::1"}, true, nil},
		{"only IPv6", []string{"tcp ::1"}, true, nil},
		{"silent", []string{"tcp 127.0.0.1 silent"}, false, []int{0}},
		{"closed", []string{"tcp 127.0.0.1 closed"}, false, []int{0}},
		{"another has its address", []string{"tcp 127.0.0.1 stolen"}, false, []int{0}},
		{"one of two", []string{"tcp 127.0.0.1", "tcp 127.0.0.1 closed"}, false, []int{1}},
		{"one family is dead", []string{"tcp 127.0.0.1 closed", "tcp ::1"}, true, []int{0}},
		{"an entrance is closed", []string{"tcp 127.0.0.1", "quic 127.0.0.1 closed", "tls 127.0.0.1"}, true, []int{1}},
		{"another has its entrance", []string{"tcp 127.0.0.1", "quic 127.0.0.1", "tls 127.0.0.1 stolen"}, true, []int{2}},
		{"only entrances", []string{"tcp 127.0.0.1 closed", "quic 127.0.0.1", "tls 127.0.0.1"}, false, []int{0}},
		{"none is whole", []string{"tcp 127.0.0.1", "tcp 127.0.0.1 silent", "tcp ::1 closed"}, false, []int{1, 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			self := pretend(t, test.ways...).Node
			r, err := probe.New(probe.Config{Timeout: time.Second}).Probe(t.Context(), self, nil)
			if err != nil {
				t.Fatal(err)
			}
			var broken []int
			for i, w := range r.Ways {
				if w.Err != nil {
					broken = append(broken, i)
				}
			}
			if r.Reachable() != test.reachable || !slices.Equal(broken, test.broken) || len(r.Ways) != len(test.ways) || r.Exit != nil {
				t.Errorf("reachable %v, want %v; broken %v, want %v: %+v", r.Reachable(), test.reachable, broken, test.broken, r.Ways)
			}
		})
	}
}
