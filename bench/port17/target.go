package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// patience is how long a load waits for an answer.
const patience = time.Minute

// A target says how to reach the destination.
type target struct {
	Addr  string // of the destination, or of a chain that leads to it
	Socks string // of a SOCKS5 proxy on the way; empty: none
	User  string // for the proxy: streams of one user share a circuit
}

// ask connects to the destination and sends a request. To a proxy the request
// goes along with the wish to connect, which both Tor and Port17 send on at
// once: no way through them is faster.
func (t target) ask(size uint64) (net.Conn, error) {
	to := t.Addr
	if t.Socks != "" {
		to = t.Socks
	}
	c, err := net.DialTimeout("tcp", to, patience)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(patience))
	if t.Socks == "" {
		_, err = c.Write(request(size))
	} else {
		err = t.connect(c, request(size))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	c.SetDeadline(time.Time{})
	return c, nil
}

// connect speaks SOCKS5 (RFC 1928, RFC 1929) and sends data along.
func (t target) connect(c net.Conn, data []byte) error {
	to, err := netip.ParseAddrPort(t.Addr)
	if err != nil {
		return err
	}
	var reply [10]byte
	if err := exchange(c, []byte{5, 1, 2}, reply[:2]); err != nil {
		return err
	}
	if reply[1] != 2 {
		return errors.New("socks: the proxy takes no credentials")
	}
	login := append([]byte{1, byte(len(t.User))}, t.User...)
	if err := exchange(c, append(login, 1, 'x'), reply[:2]); err != nil {
		return err
	}
	ip := to.Addr().As4()
	message := append([]byte{5, 1, 0, 1}, ip[:]...)
	message = append(message, byte(to.Port()>>8), byte(to.Port()))
	if err := exchange(c, append(message, data...), reply[:]); err != nil {
		return err
	}
	if reply[1] != 0 {
		return fmt.Errorf("socks: reply %d", reply[1])
	}
	return nil
}

func exchange(c net.Conn, message, reply []byte) error {
	if _, err := c.Write(message); err != nil {
		return err
	}
	_, err := io.ReadFull(c, reply)
	return err
}
