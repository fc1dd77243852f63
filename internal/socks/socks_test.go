package socks

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"testing"
)

func TestConnect(t *testing.T) {
	for _, test := range []struct {
		name, user, target string
		steps              [][2]string // what the proxy reads, and what it answers
		fails              bool
	}{
		{"address", "", "192.0.2.1:80", [][2]string{{"\x05\x01\x00", "\x05\x00"}, {"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50", "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"}}, false},
		{"name and user", "u", "a.b:1", [][2]string{{"\x05\x01\x02", "\x05\x02"}, {"\x01\x01u\x01x", "\x01\x00"}, {"\x05\x01\x00\x03\x03a.b\x00\x01", "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"}}, false},
		{"IPv6", "", "[2001:db8::1]:80", [][2]string{{"\x05\x01\x00", "\x05\x00"}, {"\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x50", "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"}}, false},
		{"refused", "", "192.0.2.1:80", [][2]string{{"\x05\x01\x00", "\x05\x00"}, {"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50", "\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"}}, true},
		{"method", "", "192.0.2.1:80", [][2]string{{"\x05\x01\x00", "\x05\xff"}}, true},
		{"silent", "", "192.0.2.1:80", [][2]string{{"\x05\x01\x00", "\x05"}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			user, proxy := net.Pipe()
			defer user.Close()
			got := make(chan bool, 1)
			go func() {
				defer proxy.Close()
				for _, s := range test.steps {
					b := make([]byte, len(s[0]))
					if _, err := io.ReadFull(proxy, b); err != nil || string(b) != s[0] {
						got <- false
						return
					}
					io.WriteString(proxy, s[1])
				}
				got <- true
			}()
			if err := Connect(user, test.user, test.target); (err != nil) != test.fails {
				t.Error(err)
			}
			if !<-got {
				t.Error("the proxy was asked for something else")
			}
		})
	}
}

// Datagrams get the address before them, and lose it again.
func TestPacketConn(t *testing.T) {
	relay, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	control, other := net.Pipe()
	defer other.Close()
	c := NewPacketConn(control, socket, relay.LocalAddr().(*net.UDPAddr).AddrPort())
	defer c.Close()
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:53"))
	if n, err := c.WriteTo([]byte("ab"), to); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	b := make([]byte, 100)
	n, from, err := relay.ReadFrom(b)
	want := []byte("\x00\x00\x00\x01\xc0\x00\x02\x01\x00\x35ab")
	if err != nil || !bytes.Equal(b[:n], want) {
		t.Fatalf("%x, %v", b[:n], err)
	}
	for _, packet := range [][]byte{{0, 0}, {0, 0, 0, 9, 1}, want} { // two that are none
		relay.WriteTo(packet, from)
	}
	n, at, err := c.ReadFrom(b)
	if err != nil || string(b[:n]) != "ab" || at.String() != to.String() {
		t.Errorf("%q from %v, %v", b[:n], at, err)
	}
}
