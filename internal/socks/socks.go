package socks

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
)

const (
	version     = 5
	methodNone  = 0
	methodUser  = 2
	connect     = 1
	associate   = 3
	kindIPv4    = 1
	kindName    = 3
	kindIPv6    = 4
	headerSize  = 3 // of a datagram, before its address
	maxDatagram = 1 << 16
)

// Connect asks for a connection to host:port. Nothing is read from conn beyond
// the proxy's answer.
func Connect(conn net.Conn, user, target string) error {
	_, err := request(conn, user, connect, target)
	return err
}

// Associate asks for datagrams. They are sent to the address that it returns,
// for as long as conn is open.
func Associate(conn net.Conn, user string) (netip.AddrPort, error) {
	return request(conn, user, associate, "0.0.0.0:0")
}

func request(conn net.Conn, user string, command byte, target string) (netip.AddrPort, error) {
	b := []byte{version, 1, methodNone}
	if user != "" {
		b = []byte{version, 1, methodUser}
	}
	if _, err := conn.Write(b); err != nil {
		return netip.AddrPort{}, fmt.Errorf("socks: %w", err)
	}
	chosen := make([]byte, 2)
	if err := read(conn, chosen); err != nil {
		return netip.AddrPort{}, err
	}
	if chosen[1] != b[2] {
		return netip.AddrPort{}, fmt.Errorf("socks: the proxy wants method %d", chosen[1])
	}
	if user != "" {
		if err := login(conn, user); err != nil {
			return netip.AddrPort{}, err
		}
	}
	b, err := appendTarget([]byte{version, command, 0}, target)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if _, err := conn.Write(b); err != nil {
		return netip.AddrPort{}, fmt.Errorf("socks: %w", err)
	}
	reply := make([]byte, 3)
	if err := read(conn, reply); err != nil {
		return netip.AddrPort{}, err
	}
	bound, err := readAddress(conn)
	if err == nil && reply[1] != 0 {
		err = fmt.Errorf("socks: the proxy refused with reply %d", reply[1])
	}
	return bound, err
}

// login sends credentials (RFC 1929).
func login(conn net.Conn, user string) error {
	if len(user) > 255 {
		return errors.New("socks: the user's name is too long")
	}
	if _, err := conn.Write(append(append([]byte{1, byte(len(user))}, user...), 1, 'x')); err != nil {
		return fmt.Errorf("socks: %w", err)
	}
	answer := make([]byte, 2)
	if err := read(conn, answer); err != nil {
		return err
	}
	if answer[1] != 0 {
		return errors.New("socks: the proxy refused the credentials")
	}
	return nil
}

func read(r io.Reader, b []byte) error {
	if _, err := io.ReadFull(r, b); err != nil {
		return fmt.Errorf("socks: read the proxy's answer: %w", err)
	}
	return nil
}

// appendTarget appends host:port; the host is an address or a name.
func appendTarget(b []byte, target string) ([]byte, error) {
	host, text, err := net.SplitHostPort(target)
	if err != nil {
		return nil, fmt.Errorf("socks: %w", err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || len(host) > 255 {
		return nil, fmt.Errorf("socks: %q is no host and port", target)
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return appendAddress(b, netip.AddrPortFrom(a, uint16(port))), nil
	}
	b = append(append(b, kindName, byte(len(host))), host...)
	return binary.BigEndian.AppendUint16(b, uint16(port)), nil
}

func appendAddress(b []byte, a netip.AddrPort) []byte {
	kind := byte(kindIPv6)
	if a.Addr().Unmap().Is4() {
		kind = kindIPv4
	}
	b = append(append(b, kind), a.Addr().Unmap().AsSlice()...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}

func readAddress(r io.Reader) (netip.AddrPort, error) {
	kind := make([]byte, 1)
	if err := read(r, kind); err != nil {
		return netip.AddrPort{}, err
	}
	size := map[byte]int{kindIPv4: 4, kindIPv6: 16}[kind[0]]
	if size == 0 {
		return netip.AddrPort{}, fmt.Errorf("socks: an address of kind %d", kind[0])
	}
	b := make([]byte, size+2)
	if err := read(r, b); err != nil {
		return netip.AddrPort{}, err
	}
	a, _ := netip.AddrFromSlice(b[:size])
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[size:])), nil
}
