package socks

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

// A PacketConn is a [net.PacketConn] whose datagrams pass the proxy. Addresses
// are *[net.UDPAddr].
type PacketConn struct {
	control net.Conn
	socket  net.PacketConn
	relay   netip.AddrPort
}

// NewPacketConn makes one of the connection on which datagrams were asked for,
// a socket, and the address that [Associate] returned. Close closes both.
func NewPacketConn(control net.Conn, socket net.PacketConn, relay netip.AddrPort) *PacketConn {
	return &PacketConn{control, socket, relay}
}

// ListenPacket asks the proxy for datagrams. Close ends the association.
func ListenPacket(proxy, user string) (*PacketConn, error) {
	control, err := net.Dial("tcp", proxy)
	if err != nil {
		return nil, err
	}
	relay, err := Associate(control, user)
	if err != nil {
		control.Close()
		return nil, err
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: relay.Addr().AsSlice()})
	if err != nil {
		control.Close()
		return nil, err
	}
	return NewPacketConn(control, socket, relay), nil
}

// WriteTo implements [net.PacketConn].
func (c *PacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("socks: send to %v: %w", to, os.ErrInvalid)
	}
	packet := appendAddress(make([]byte, headerSize, headerSize+19+len(b)), u.AddrPort())
	if _, err := c.socket.WriteTo(append(packet, b...), net.UDPAddrFromAddrPort(c.relay)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// ReadFrom implements [net.PacketConn]. What is no datagram of the proxy's is
// skipped.
func (c *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	packet := make([]byte, maxDatagram)
	for {
		n, from, err := c.socket.ReadFrom(packet)
		if err != nil {
			return 0, nil, err
		}
		if u, ok := from.(*net.UDPAddr); !ok || u.Port != int(c.relay.Port()) || n < headerSize {
			continue
		}
		rest := bytes.NewReader(packet[headerSize:n])
		at, err := readAddress(rest)
		if err != nil {
			continue
		}
		n, _ = rest.Read(b)
		return n, net.UDPAddrFromAddrPort(at), nil
	}
}

// Ended waits until the proxy ends the association, and returns why.
func (c *PacketConn) Ended() error {
	_, err := c.control.Read(make([]byte, 1))
	return err
}

// Close implements [net.PacketConn].
func (c *PacketConn) Close() error { return errors.Join(c.control.Close(), c.socket.Close()) }

// LocalAddr implements [net.PacketConn].
func (c *PacketConn) LocalAddr() net.Addr { return c.socket.LocalAddr() }

// SetDeadline implements [net.PacketConn].
func (c *PacketConn) SetDeadline(t time.Time) error { return c.socket.SetDeadline(t) }

// SetReadDeadline implements [net.PacketConn].
func (c *PacketConn) SetReadDeadline(t time.Time) error { return c.socket.SetReadDeadline(t) }

// SetWriteDeadline implements [net.PacketConn].
func (c *PacketConn) SetWriteDeadline(t time.Time) error { return c.socket.SetWriteDeadline(t) }
