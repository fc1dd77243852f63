package client_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"safing/port17/client"
	"safing/port17/testnet"
)

// request sends what a SOCKS user begins with and returns the reply's code.
func request(t testing.TB, proxy, text string) (control *net.TCPConn, code byte, bound netip.AddrPort) {
	t.Helper()
	conn, err := net.Dial("tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(conn, "\x05\x01\x00"+text)
	b := make([]byte, 2+10)
	if _, err := io.ReadFull(conn, b); err != nil || !bytes.HasPrefix(b, []byte("\x05\x00\x05")) || b[5] != 1 {
		t.Fatalf("%x, %v", b, err)
	}
	return conn.(*net.TCPConn), b[3], netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[6:])), uint16(b[10])<<8|uint16(b[11]))
}

const anywhere = "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00" // UDP ASSOCIATE from an unknown port

// A socksUDP is a SOCKS user's association.
type socksUDP struct {
	control *net.TCPConn
	socket  *net.UDPConn
}

func socksAssociate(t testing.TB, proxy string) socksUDP {
	t.Helper()
	control, code, bound := request(t, proxy, anywhere)
	if code != 0 || !bound.Addr().IsLoopback() || bound.Port() == 0 {
		t.Fatalf("reply %d, bound to %v", code, bound)
	}
	socket, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(bound))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	socket.SetDeadline(time.Now().Add(20 * time.Second))
	return socksUDP{control, socket}
}

// header is what stands before a datagram with an IPv4 address.
func header(a netip.AddrPort) string {
	b := a.Addr().As4()
	return "\x00\x00\x00\x01" + string(b[:]) + port(a)
}

func port(a netip.AddrPort) string { return string([]byte{byte(a.Port() >> 8), byte(a.Port())}) }

func (s socksUDP) send(t testing.TB, datagram string) {
	t.Helper()
	if _, err := io.WriteString(s.socket, datagram); err != nil {
		t.Fatal(err)
	}
}

func (s socksUDP) want(t testing.TB, datagram string) {
	t.Helper()
	b := make([]byte, 1<<16)
	n, err := s.socket.Read(b)
	if err != nil || string(b[:n]) != datagram {
		t.Fatalf("%d bytes, %v, want %d", n, err, len(datagram))
	}
}

func TestAssociate(t *testing.T) {
	proxy := serveProxy(t, start(t, testnet.Start(t, 6)))
	one, _ := echoUDP(t, "127.0.0.1")
	two, _ := echoUDP(t, "127.0.0.2")
	six, _ := echoUDP(t, "::1")
	data := make([]byte, 60000)
	rand.Read(data)
	s := socksAssociate(t, proxy)
	for _, to := range []netip.AddrPort{one.AddrPort(), two.AddrPort()} {
		for _, size := range []int{0, 1, 1200, 9000, 60000} {
			for _, b := range [][]byte{data[:size], data[len(data)-size:]} {
				s.send(t, header(to)+string(b))
				s.want(t, header(to)+string(b))
			}
		}
	}
	s.send(t, "\x00\x00\x00\x03\x09localhost"+port(one.AddrPort())+"name")
	s.want(t, header(one.AddrPort())+"name")
	ip6 := "\x00\x00\x00\x04" + strings.Repeat("\x00", 15) + "\x01" + port(six.AddrPort()) + "six"
	s.send(t, ip6)
	s.want(t, ip6)
}

// What is no whole datagram of the user's is dropped, and what no exit takes.
func TestAssociateDrops(t *testing.T) {
	proxy := serveProxy(t, start(t, testnet.Start(t, 6)))
	server, from := echoUDP(t, "127.0.0.1")
	to := header(server.AddrPort())
	s := socksAssociate(t, proxy)
	for _, bad := range []string{
		"", "\x00\x00\x00", "\x00\x00\x01" + to[3:] + "fragment", "\x01\x00\x00" + to[3:] + "reserved", to[:5],
		"\x00\x00\x00\x07" + to[4:], "\x00\x00\x00\x03\x09spa ce.de\x00\x35", to[:8] + "\x00\x00port 0",
		header(netip.MustParseAddrPort("10.0.0.1:53")) + "refused",
	} {
		s.send(t, bad)
	}
	s.send(t, to+"first")
	s.want(t, to+"first")
	stranger, err := net.DialUDP("udp", nil, s.socket.RemoteAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	elsewhere, err := net.DialUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2), Port: s.socket.LocalAddr().(*net.UDPAddr).Port}, s.socket.RemoteAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer elsewhere.Close()
	io.WriteString(stranger, to+"stranger")
	io.WriteString(elsewhere, to+"elsewhere")
	s.send(t, to+"second")
	s.want(t, to+"second")
	<-from
	<-from
	if len(from) != 0 {
		t.Error("the server got what it should not")
	}
}

// The user can say which port it will send from.
func TestAssociatePort(t *testing.T) {
	proxy := serveProxy(t, start(t, testnet.Start(t, 6)))
	server, _ := echoUDP(t, "127.0.0.1")
	to := header(server.AddrPort())
	mine, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	mine.SetDeadline(time.Now().Add(20 * time.Second))
	_, code, bound := request(t, proxy, anywhere[:8]+port(mine.LocalAddr().(*net.UDPAddr).AddrPort()))
	if code != 0 {
		t.Fatalf("reply %d", code)
	}
	other, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(bound))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	io.WriteString(other, to+"other")
	mine.WriteToUDPAddrPort([]byte(to+"mine"), bound)
	b := make([]byte, 100)
	if n, _, err := mine.ReadFromUDPAddrPort(b); err != nil || string(b[:n]) != to+"mine" {
		t.Errorf("%q, %v", b[:n], err)
	}
}

// The association ends with the connection on which it was asked for.
func TestAssociateEnds(t *testing.T) {
	c := start(t, testnet.Start(t, 6))
	c.LimitAssociations(1)
	proxy := serveProxy(t, c)
	server, _ := echoUDP(t, "127.0.0.1")
	to := header(server.AddrPort())
	s := socksAssociate(t, proxy)
	s.send(t, to+"x")
	s.want(t, to+"x")
	if _, code, _ := request(t, proxy, anywhere); code != 1 {
		t.Errorf("one association too many: reply %d, want 1", code)
	}
	s.control.CloseWrite()
	if _, err := s.control.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the proxy's side of the connection: %v", err)
	}
	// Nobody listens any more, which the system tells one datagram later.
	io.WriteString(s.socket, to+"late")
	if _, err := s.socket.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a datagram after the end: %v", err)
	}
	for deadline := time.Now().Add(5 * time.Second); inUse(c)[0].Streams > 0; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the association is still open in the network")
		}
	}
	socksAssociate(t, proxy)
}

// When the route breaks, the user's connection is reset.
func TestAssociateExitDies(t *testing.T) {
	n := testnet.Start(t, 6)
	c := start(t, n)
	s := socksAssociate(t, serveProxy(t, c))
	server, _ := echoUDP(t, "127.0.0.1")
	to := header(server.AddrPort())
	s.send(t, to+"x")
	s.want(t, to+"x")
	exit := inUse(c)[0].Nodes[2].ID
	for _, node := range n.Nodes {
		if node.ID() == exit {
			node.Close()
		}
	}
	if _, err := s.control.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the exit died: %v", err)
	}
}

// Datagrams of users on other machines could be anybody's.
func TestAssociateElsewhere(t *testing.T) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		ip := a.(*net.IPNet).IP.To4()
		if ip == nil || ip.IsLoopback() {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(ip.String(), "0"))
		if err != nil {
			t.Fatal(err)
		}
		if _, code, _ := request(t, serveProxyOn(t, start(t, testnet.Start(t, 3)), l, client.Request{}), anywhere); code != 2 {
			t.Errorf("reply %d, want 2", code)
		}
		return
	}
	t.Skip("this machine has no IPv4 address but loopback ones")
}

func FuzzParseDatagram(f *testing.F) {
	at := netip.MustParseAddrPort("192.0.2.1:53")
	f.Add([]byte(header(at) + "data"))
	f.Add([]byte("\x00\x00\x00\x03\x09localhost\x00\x35data"))
	f.Add([]byte("\x00\x00\x00\x03\x09192.0.2.1\x00\x35data"))
	f.Add(client.AppendDatagram(nil, netip.MustParseAddrPort("[2001:db8::1]:53"), nil))
	f.Add([]byte("\x00\x00\x01\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		to, data, err := client.ParseDatagram(b)
		if err != nil {
			return
		}
		if len(data) > len(b)-6 || !bytes.HasSuffix(b, data) {
			t.Errorf("%x holds %x", b, data)
		}
		if !to.Addr.Addr().IsValid() || b[3] == 3 {
			return
		}
		if again := client.AppendDatagram(nil, to.Addr, data); !bytes.Equal(again, b) {
			t.Errorf("%x reads as one for %v, which is %x", b, to.Addr, again)
		}
	})
}
