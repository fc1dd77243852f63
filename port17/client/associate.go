package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"

	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

const (
	maxAssociations = 256 // of a client's SOCKS users
	maxOutlets      = 4   // exits that one of them uses at a time
	maxReadErrors   = 100 // of a socket, one after the other
)

// An association is what RFC 1928 calls one: a SOCKS user's datagrams come in
// through a socket, for as long as the user's connection lasts.
type association struct {
	client  *Client
	request Request // without destination
	control *net.TCPConn
	socket  *net.UDPConn
	user    netip.AddrPort // the port is 0 until it is known

	mu      sync.Mutex
	outlets []*PacketConn
	ended   bool
}

// serveAssociation serves a SOCKS user's datagrams until the connection on
// which they were asked for ends.
func (c *Client) serveAssociation(ctx context.Context, conn *net.TCPConn, request *proxyRequest) {
	select {
	case c.slots <- struct{}{}:
	default:
		request.refuse(errors.New("too many associations"))
		return
	}
	defer func() { <-c.slots }()
	local, remote := addrOf(conn.LocalAddr()), addrOf(conn.RemoteAddr())
	if !local.IsLoopback() || !remote.IsLoopback() {
		// Whoever is on the way could send datagrams in the user's name.
		request.refuse(errNotLoopback)
		return
	}
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	if err != nil {
		request.refuse(err)
		return
	}
	defer socket.Close()
	a := &association{
		client: c, request: request.Request, control: conn, socket: socket,
		user: netip.AddrPortFrom(remote, request.Addr.Port()),
	}
	a.request.Host, a.request.Addr = "", netip.AddrPort{}
	if request.associate(socket.LocalAddr().(*net.UDPAddr).AddrPort()) != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	var forward, back sync.WaitGroup
	forward.Go(func() { a.forward(ctx, &back) })
	io.Copy(io.Discard, conn) //nolint:errcheck // that it ends is all that it says
	cancel()
	socket.Close()
	forward.Wait() // opens no outlets any more
	a.end()
	back.Wait()
}

func addrOf(a net.Addr) netip.Addr { return a.(*net.TCPAddr).AddrPort().Addr().Unmap().WithZone("") }

// forward sends what comes from the user.
func (a *association) forward(ctx context.Context, back *sync.WaitGroup) {
	b := make([]byte, 1<<16)
	for errs := 0; errs < maxReadErrors; {
		n, from, err := a.socket.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // some systems report what became of earlier datagrams
			errs++
			continue
		}
		errs = 0
		if !a.fromUser(from) {
			continue
		}
		to, data, err := parseDatagram(b[:n])
		if err == nil {
			err = a.send(ctx, to, data, back)
		}
		if err != nil { // it may name the destination
			a.client.config.Log.Debug("a datagram was dropped", "error", err)
		}
	}
	a.control.Close()
}

// fromUser says whether the user has sent a datagram. The first one, if not the
// request, tells the port.
func (a *association) fromUser(from netip.AddrPort) bool {
	if from.Addr().Unmap().WithZone("") != a.user.Addr() {
		return false
	}
	if a.user.Port() == 0 {
		a.user = netip.AddrPortFrom(a.user.Addr(), from.Port())
	}
	return from.Port() == a.user.Port()
}

func (a *association) send(ctx context.Context, to Request, data []byte, back *sync.WaitGroup) error {
	t, err := to.target()
	if err != nil {
		return err
	}
	out := a.outlet(t)
	if out == nil {
		if out, err = a.open(ctx, to); err != nil {
			return err
		}
		back.Go(func() { a.back(out) })
	}
	return out.send(t, data)
}

// outlet returns one that leads to the target.
func (a *association) outlet(t cell.Target) *PacketConn {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.outlets {
		if p.shared.fits(t) && p.shared.mayCarry(unencrypted(t.Port)) {
			return p
		}
	}
	return nil
}

func (a *association) open(ctx context.Context, to Request) (*PacketConn, error) {
	a.mu.Lock()
	full := len(a.outlets) == maxOutlets
	a.mu.Unlock()
	if full {
		return nil, fmt.Errorf("socks: datagrams through more than %d exits at a time", maxOutlets)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	r := a.request
	r.Host, r.Addr = to.Host, to.Addr
	p, err := a.client.ListenPacket(ctx, r)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.outlets = append(a.outlets, p)
	a.mu.Unlock()
	return p, nil
}

// back passes on what comes through an outlet.
func (a *association) back(p *PacketConn) {
	defer p.Close()
	b := make([]byte, cell.MaxDatagram)
	var out []byte
	for {
		n, from, err := p.receive(b)
		if err != nil {
			a.lose(p, err)
			return
		}
		out = append(appendDatagramHeader(out[:0], from), b[:n]...)
		a.socket.WriteToUDPAddrPort(out, a.user) //nolint:errcheck // networks drop datagrams
	}
}

// lose forgets an outlet that has ended. Unless it was idle, the user's
// connection ends too: nothing else tells that a route has broken.
func (a *association) lose(p *PacketConn, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.outlets = slices.DeleteFunc(a.outlets, func(o *PacketConn) bool { return o == p })
	var ended *stream.Error
	if a.ended || errors.As(err, &ended) && ended.Reason == cell.Idle {
		return
	}
	a.control.SetLinger(0) //nolint:errcheck // a connection that is gone needs none
	a.control.Close()
}

// end closes the outlets.
func (a *association) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	for _, p := range a.outlets {
		p.Close()
	}
}

var errFragment = errors.New("socks: a fragment of a datagram")

// parseDatagram reads a datagram from a SOCKS user (RFC 1928, 7).
//
//	+----+------+------+----------+----------+----------+
//	|RSV | FRAG | ATYP | DST.ADDR | DST.PORT |   DATA   |
//	+----+------+------+----------+----------+----------+
//	| 2  |  1   |  1   | Variable |    2     | Variable |
//	+----+------+------+----------+----------+----------+
func parseDatagram(b []byte) (to Request, data []byte, err error) {
	if len(b) < 4 || b[0] != 0 || b[1] != 0 {
		return to, nil, errors.New("socks: a datagram without header")
	}
	if b[2] != 0 {
		return to, nil, errFragment
	}
	r := bytes.NewReader(b[4:])
	if to, err = readAddress(r, b[3]); err != nil {
		return to, nil, err
	}
	return to, b[len(b)-r.Len():], nil
}

// appendDatagramHeader appends what stands before a datagram to a SOCKS user.
func appendDatagramHeader(b []byte, from netip.AddrPort) []byte {
	return appendAddress(append(b, 0, 0, 0), from)
}

// appendAddress appends an address and port as SOCKS writes them.
func appendAddress(b []byte, a netip.AddrPort) []byte {
	kind := byte(kindIPv4)
	if a.Addr().Is6() {
		kind = kindIPv6
	}
	b = append(append(b, kind), a.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}
