package client

import (
	"bufio"
	"bytes"
	"net"
	"net/netip"
	"time"

	"safing/netmap"
)

// SetMap gives the client a map as if it had fetched it.
func (c *Client) SetMap(m *netmap.Map) { c.setMap(m) }

// ReadProxyRequest lets the fuzzer read a request from bytes.
func ReadProxyRequest(b []byte) { IsolationOf(b) } //nolint:errcheck // most of the fuzzer's are none

// IsolationOf returns how a request read from bytes is separated from others.
func IsolationOf(b []byte) (string, error) {
	read := readConnect
	if len(b) > 0 && b[0] == socksVersion {
		read = readSOCKS
	}
	p, err := read(bufio.NewReader(bytes.NewReader(b)), discard{})
	if err != nil {
		return "", err
	}
	return p.Isolation, nil
}

// LimitAssociations sets how many SOCKS users have associations at once.
func (c *Client) LimitAssociations(limit int) { c.slots = make(chan struct{}, limit) }

// ParseDatagram reads a datagram from a SOCKS user.
func ParseDatagram(b []byte) (Request, []byte, error) { return parseDatagram(b) }

// AppendDatagram writes one to a SOCKS user.
func AppendDatagram(b []byte, from netip.AddrPort, data []byte) []byte {
	return append(appendDatagramHeader(b, from), data...)
}

type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) SetDeadline(time.Time) error { return nil }

// Age makes all circuits older.
func (c *Client) Age(by time.Duration) {
	c.mu.Lock()
	for _, s := range c.allLocked() {
		s.mu.Lock()
		if !s.since.IsZero() {
			s.since = s.since.Add(-by)
		}
		s.mu.Unlock()
	}
	c.mu.Unlock()
	c.wakePreparer()
}
