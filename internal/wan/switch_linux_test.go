package wan

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"safing/internal/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDestination(t *testing.T) {
	packet := make([]byte, 20)
	packet[0] = 0x45
	copy(packet[16:], []byte{10, 101, 0, 1})
	if to, ok := destination(packet); !ok || to != netip.MustParseAddr("10.101.0.1") {
		t.Errorf("got %v, %v", to, ok)
	}
	for _, bad := range [][]byte{nil, packet[:19], append([]byte{0x60}, packet[1:]...)} {
		if _, ok := destination(bad); ok {
			t.Errorf("%x was taken", bad)
		}
	}
}

// hosts makes two that are joined by links like l.
func hosts(t *testing.T, l Link) (s *Switch, a, b *netns.Namespace) {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skip(err)
	}
	s = New(l, 1)
	t.Cleanup(s.Close)
	add := func(addr netip.Addr) *netns.Namespace {
		n, err := s.Add(addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Close)
		return n
	}
	return s, add(one), add(two)
}

var (
	one = netip.MustParseAddr("10.1.0.1")
	two = netip.MustParseAddr("10.2.0.1")
)

// connect opens a connection from the first host to the second.
func connect(t *testing.T, a, b *netns.Namespace) (from, to net.Conn) {
	t.Helper()
	var l net.Listener
	if err := b.Do(func() (err error) { l, err = net.Listen("tcp", two.String()+":80"); return err }); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := a.Do(func() (err error) { from, err = net.Dial("tcp", two.String()+":80"); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close() })
	to, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	return from, to
}

// No packet is faster than the link, and all arrive.
func TestSwitch(t *testing.T) {
	for name, l := range map[string]Link{
		"delay": {Delay: 20 * time.Millisecond},
		"loss":  {Delay: time.Millisecond, Loss: 0.02},
		"rate":  {Rate: 80e6},
	} {
		t.Run(name, func(t *testing.T) {
			s, a, b := hosts(t, l)
			begun := time.Now()
			from, to := connect(t, a, b)
			if took := time.Since(begun); took < 2*l.Delay {
				t.Errorf("connected after %v, in less than a round trip", took)
			}
			const size = 1 << 20
			begun = time.Now()
			go func() {
				from.Write(make([]byte, size))
				from.Close()
			}()
			if n, err := io.Copy(io.Discard, to); n != size || err != nil {
				t.Fatalf("%d bytes arrived: %v", n, err)
			}
			if took := time.Since(begun); l.Rate > 0 && took < l.Rate.time(size) {
				t.Errorf("%d bytes took %v, less than the rate allows", size, took)
			}
			passed, lost := s.Packets()
			if passed == 0 || (lost > 0) != (l.Loss > 0) && l.Rate == 0 {
				t.Errorf("%d packets passed, %d were lost", passed, lost)
			}
		})
	}
}

// A link that is cut passes nothing until it is as it was.
func TestCut(t *testing.T) {
	s, a, b := hosts(t, Link{})
	from, to := connect(t, a, b)
	s.Cut(one, two)
	if _, err := from.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	to.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := to.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("over a link that is cut: %v", err)
	}
	s.Restore(one, two)
	to.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := to.Read(make([]byte, 1)); err != nil {
		t.Errorf("over the link as it was: %v", err)
	}
}

// All addresses of a host are behind its links.
func TestMoreAddresses(t *testing.T) {
	s, a, _ := hosts(t, Link{})
	three, four := netip.MustParseAddr("10.3.0.1"), netip.MustParseAddr("10.4.0.1")
	c, err := s.Add(three, four)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	delay := 20 * time.Millisecond
	s.Set(one, four, Link{Delay: delay})
	for _, addr := range []netip.Addr{three, four} {
		var l net.Listener
		if err := c.Do(func() (err error) { l, err = net.Listen("tcp", netip.AddrPortFrom(addr, 80).String()); return err }); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		err := a.Do(func() error {
			conn, err := net.DialTimeout("tcp", l.Addr().String(), 20*time.Second)
			if err != nil {
				return err
			}
			return conn.Close()
		})
		if took := time.Since(begun); err != nil || took < 2*delay {
			t.Errorf("%s: connected after %v, in less than a round trip: %v", addr, took, err)
		}
		l.Close()
	}
}
