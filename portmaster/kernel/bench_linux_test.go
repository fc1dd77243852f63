package kernel

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// childDial connects "N ADDRESS" times and prints how long that took.
func childDial(rest string) {
	count, address, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(count)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	begun := time.Now()
	for range n {
		c, err := net.Dial("tcp", address)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		c.(*net.TCPConn).SetLinger(0) // leaves no port in TIME-WAIT
		c.Close()
	}
	fmt.Println(time.Since(begun).Nanoseconds())
}

// discard accepts and closes.
func (s *stage) discard() netip.AddrPort {
	s.t.Helper()
	var l net.Listener
	s.do(func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	})
	s.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// BenchmarkConnect opens new TCP connections on loopback, without the
// programs, with a permission among ten thousand entries, and with tunnelling.
func BenchmarkConnect(b *testing.B) {
	entries := everything(Permit, 1)
	for i := range 10000 {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0})
		entries = append(entries, Entry{netip.PrefixFrom(addr, 24), entries[0].Cases})
	}
	b.Run("none", func(b *testing.B) {
		s := newStage(b)
		dial(b, s, s.discard().String())
	})
	b.Run("hook", func(b *testing.B) {
		s := newStage(b)
		g := s.load(Config{})
		s.allow(entries)
		go drain(b, g)
		dial(b, s, s.discard().String())
	})
	b.Run("tunnel", func(b *testing.B) {
		s := newStage(b)
		g := s.load(Config{Gateway4: s.discard()})
		s.allow(everything(Tunnel, 1))
		go drain(b, g)
		dial(b, s, "192.0.2.1:443")
	})
}

func drain(b *testing.B, g *Guard) {
	for {
		if _, err := g.Read(b.Context()); err != nil {
			return
		}
	}
}

func dial(b *testing.B, s *stage, address string) {
	cmd := s.command(self(b), fmt.Sprintf("dial %d %s", b.N, address))
	var out strings.Builder
	cmd.Stdout = &out
	s.do(cmd.Run)
	took, err := strconv.ParseFloat(strings.TrimSpace(out.String()), 64)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(took/float64(b.N), "ns/connect")
	b.ReportMetric(0, "ns/op") // includes the start of a process
}
