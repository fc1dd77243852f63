package wrap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"safing/internal/netns"
	"safing/internal/wan"
	"safing/netmap"
)

// across connects two hosts over a link. Congestion is how TCP controls it, as
// the system does if empty.
func across(t testing.TB, w netmap.Wrapping, over wan.Link, congestion string) (dialled, accepted net.Conn) {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	s := wan.New(over, 1)
	t.Cleanup(s.Close)
	var hosts []*netns.Namespace
	for _, a := range []string{"10.1.0.1", "10.2.0.1"} {
		h, err := s.Add(netip.MustParseAddr(a))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.Close)
		if err := h.Do(func() error {
			if congestion == "" {
				return nil
			}
			return os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte(congestion), 0)
		}); err != nil {
			t.Skipf("the system has no %s: %v", congestion, err)
		}
		hosts = append(hosts, h)
	}
	var l net.Listener
	if err := hosts[1].Do(func() (err error) {
		if w == netmap.TCP {
			l, err = net.Listen("tcp", "10.2.0.1:0")
			return err
		}
		own, err := Listen(t.Context(), w, "10.2.0.1:0", Config{Node: someNode})
		if err != nil {
			return err
		}
		t.Cleanup(own.Wait)
		l = own
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := hosts[0].Do(func() (err error) {
		dialled, err = Dial(context.Background(), someNode, netmap.Entrance{Wrapping: w, Addr: netip.MustParseAddrPort(l.Addr().String())})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close() })
	if _, err := dialled.Write([]byte{42}); err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	if _, err := io.ReadFull(accepted, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return dialled, accepted
}

// What a network loses on the way arrives all the same.
func TestLossy(t *testing.T) {
	forAll(t, func(t *testing.T, w netmap.Wrapping) {
		a, b := across(t, w, wan.Link{Delay: 2 * time.Millisecond, Loss: 0.02}, "")
		data := make([]byte, 1<<20)
		rand.NewChaCha8([32]byte{}).Read(data)
		for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
			wrote := make(chan error, 1)
			go func() {
				_, err := way[0].Write(data)
				closeWrite(way[0])
				wrote <- err
			}()
			sum := sha256.New()
			n, err := io.Copy(sum, struct{ io.Reader }{way[1]})
			want := sha256.Sum256(data)
			if err != nil || n != int64(len(data)) || !bytes.Equal(sum.Sum(nil), want[:]) {
				t.Errorf("%d bytes came, %v", n, err)
			}
			if err := <-wrote; err != nil {
				t.Error(err)
			}
		}
	})
}

// BenchmarkLossy measures one connection over a path of 25 ms each way and 100
// Mbit/s that loses packets.
func BenchmarkLossy(b *testing.B) {
	for _, loss := range []wan.Share{0, 0.001, 0.01} {
		for _, c := range []struct {
			in         netmap.Wrapping
			congestion string
		}{{netmap.TCP, "reno"}, {netmap.TCP, "bbr"}, {netmap.TLS, "reno"}, {netmap.QUIC, ""}} {
			b.Run(fmt.Sprintf("%g%%/%s/%s", float64(loss)*100, c.in, c.congestion), func(b *testing.B) {
				from, to := across(b, c.in, wan.Link{Delay: 25 * time.Millisecond, Loss: loss, Rate: 100e6}, c.congestion)
				const record = 64 << 10
				b.SetBytes(record)
				b.ResetTimer()
				go func() {
					data := make([]byte, record)
					for range b.N {
						if _, err := from.Write(data); err != nil {
							return
						}
					}
				}()
				if _, err := io.CopyN(io.Discard, struct{ io.Reader }{to}, int64(b.N)*record); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
