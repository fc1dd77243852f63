package client

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"safing/netmap"
	"safing/port17/route"
)

// SOCKS5's numbers (RFC 1928 and RFC 1929).
const (
	socksVersion     = 5
	methodNone       = 0
	methodPassword   = 2
	methodNoneOfThem = 0xff
	passwordVersion  = 1
	commandConnect   = 1
	commandAssociate = 3
	kindIPv4         = 1
	kindName         = 3
	kindIPv6         = 4

	replySucceeded      = 0
	replyFailure        = 1
	replyNotAllowed     = 2
	replyUnreachable    = 3
	replyExpired        = 6
	replyCommandUnknown = 7
	replyAddressUnknown = 8
)

// readSOCKS reads a request and answers what comes before its reply.
func readSOCKS(r *bufio.Reader, w net.Conn) (*proxyRequest, error) {
	isolation, err := negotiate(r, w)
	if err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	reply := func(code byte, bound netip.AddrPort) error {
		_, err := w.Write(appendAddress([]byte{socksVersion, code, 0}, bound))
		return err
	}
	nowhere := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	if head[0] != socksVersion {
		return nil, fmt.Errorf("socks: version %d", head[0])
	}
	if head[1] != commandConnect && head[1] != commandAssociate {
		reply(replyCommandUnknown, nowhere)
		return nil, fmt.Errorf("socks: command %d", head[1])
	}
	request, err := readAddress(r, head[3])
	if err == nil && head[1] == commandConnect {
		_, err = request.target()
	}
	if err != nil {
		reply(replyAddressUnknown, nowhere)
		return nil, err
	}
	request.Isolation = isolation
	p := &proxyRequest{
		Request: request,
		accept:  func() error { return reply(replySucceeded, nowhere) },
		refuse:  func(err error) { reply(replyTo(err), nowhere) },
	}
	if head[1] == commandAssociate {
		p.associate = func(bound netip.AddrPort) error { return reply(replySucceeded, bound) }
	}
	return p, nil
}

// replyTo returns the reply that says best what has failed.
func replyTo(err error) byte {
	switch {
	case errors.Is(err, route.ErrNoExit), errors.Is(err, errNotLoopback):
		return replyNotAllowed
	case errors.Is(err, route.ErrNoRoute), errors.Is(err, ErrNoMap), errors.Is(err, netmap.ErrExpired):
		return replyUnreachable
	case timedOut(err):
		return replyExpired
	}
	return replyFailure
}

// negotiate agrees on a method and returns the credentials, if there are any.
func negotiate(r *bufio.Reader, w net.Conn) (isolation string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(r, methods); err != nil {
		return "", err
	}
	chosen := byte(methodNoneOfThem)
	for _, m := range methods {
		if m == methodPassword || m == methodNone && chosen != methodPassword {
			chosen = m
		}
	}
	if _, err := w.Write([]byte{socksVersion, chosen}); err != nil {
		return "", err
	}
	switch chosen {
	case methodNone:
		return "", nil
	case methodPassword:
		return readPassword(r, w)
	}
	return "", errors.New("socks: no method that is known here was offered")
}

// readPassword takes any credentials: they separate, and guard nothing.
func readPassword(r *bufio.Reader, w net.Conn) (string, error) {
	version, err := r.ReadByte()
	if err != nil {
		return "", err
	}
	if version != passwordVersion {
		return "", fmt.Errorf("socks: version %d of credentials", version)
	}
	user, err := readShort(r)
	if err != nil {
		return "", err
	}
	password, err := readShort(r)
	if err != nil {
		return "", err
	}
	if _, err := w.Write([]byte{passwordVersion, replySucceeded}); err != nil {
		return "", err
	}
	// Its first byte is in no header's value, and so in no HTTP user's isolation.
	return string([]byte{socksVersion, byte(len(user))}) + user + password, nil
}

// A byteReader is a [bufio.Reader] or a [bytes.Reader].
type byteReader interface {
	io.Reader
	io.ByteReader
}

// readShort reads a text with its length in one byte before it.
func readShort(r byteReader) (string, error) {
	n, err := r.ReadByte()
	if err != nil {
		return "", err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

// readAddress reads a destination of the kind. It need not be one that can be
// connected to.
func readAddress(r byteReader, kind byte) (request Request, err error) {
	var addr netip.Addr
	switch kind {
	case kindName:
		if request.Host, err = readShort(r); err != nil {
			return request, err
		}
		// Some put addresses there too.
		if a, err := netip.ParseAddr(request.Host); err == nil {
			addr, request.Host = a, ""
		}
	case kindIPv4:
		var b [4]byte
		_, err = io.ReadFull(r, b[:])
		addr = netip.AddrFrom4(b)
	case kindIPv6:
		var b [16]byte
		_, err = io.ReadFull(r, b[:])
		addr = netip.AddrFrom16(b)
	default:
		return request, fmt.Errorf("socks: address of kind %d", kind)
	}
	if err != nil {
		return request, err
	}
	var port [2]byte
	if _, err := io.ReadFull(r, port[:]); err != nil {
		return request, err
	}
	request.Addr = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(port[:]))
	return request, nil
}
