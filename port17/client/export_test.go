package client

import (
	"bufio"
	"bytes"
	"net"
	"time"

	"safing/netmap"
)

// SetMap gives the client a map as if it had fetched it.
func (c *Client) SetMap(m *netmap.Map) { c.setMap(m) }

// ReadProxyRequest lets the fuzzer read a request from bytes.
func ReadProxyRequest(b []byte) {
	read := readConnect
	if len(b) > 0 && b[0] == socksVersion {
		read = readSOCKS
	}
	read(bufio.NewReader(bytes.NewReader(b)), discard{})
}

type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) SetDeadline(time.Time) error { return nil }
