package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

// ErrNotAllowed means that the route's exit sends no datagrams there. A
// [Client.ListenPacket] for that destination takes another.
var ErrNotAllowed = errors.New("the exit's policy does not allow the destination")

// A PacketConn sends and receives datagrams through the network. All methods
// may be called from any goroutine.
//
// Datagrams come from the exit's address, and only from where something was
// sent to; each side keeps them whole and in order, or drops them when the
// circuit carries no more. Without any for two minutes the exit ends the
// PacketConn, after half a minute if all went to port 53.
type PacketConn struct {
	shared  *shared
	ended   sync.Once
	writeBy atomic.Pointer[time.Time]
	dropped atomic.Uint64

	starting sync.Once
	started  chan struct{}
	packets  *stream.Datagrams // set before started is closed, as is err
	err      error

	deadlines deadlines // for reading
}

// A HostAddr is a name or an address with a port, such as "example.org:443".
// The exit looks names up.
type HostAddr string

// Network implements net.Addr.
func (HostAddr) Network() string { return "udp" }

func (a HostAddr) String() string { return string(a) }

// ListenPacket opens a way for datagrams. The request's destination says which
// exits are considered; without one, those are that allow all ports. It returns
// once there is a link to the entry.
func (c *Client) ListenPacket(ctx context.Context, r Request) (*PacketConn, error) {
	var t cell.Target
	if r.Host != "" || r.Addr != (netip.AddrPort{}) {
		var err error
		if t, err = r.target(); err != nil {
			return nil, err
		}
	}
	s, err := c.shared(ctx, c.need(r, t))
	if err != nil {
		return nil, fmt.Errorf("open a route: %w", err)
	}
	p := &PacketConn{shared: s, started: make(chan struct{})}
	time.AfterFunc(patience, func() { p.start(nil) })
	return p, nil
}

// start opens the association with early data, once. It says whether it was
// this call that did.
func (p *PacketConn) start(early []byte) (now bool) {
	p.starting.Do(func() {
		now = true
		if p.packets, p.err = p.shared.openPackets(early); p.err == nil {
			p.deadlines.apply(p.packets.Stream())
		}
		close(p.started)
	})
	return now
}

// Route returns the nodes that the datagrams pass, entry first.
func (p *PacketConn) Route() []HopInfo { return p.shared.route() }

// Dropped returns how many datagrams were dropped here, as the circuit carried
// no more.
func (p *PacketConn) Dropped() uint64 { return p.dropped.Load() }

// WriteTo implements net.PacketConn. The address is a *net.UDPAddr, or another
// whose text is a host and a port. It never waits for the network.
func (p *PacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	t, err := targetOf(to)
	if err != nil {
		return 0, err
	}
	if by := p.writeBy.Load(); by != nil && !by.IsZero() && !time.Now().Before(*by) {
		return 0, os.ErrDeadlineExceeded
	}
	if err := p.send(t, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

func targetOf(a net.Addr) (cell.Target, error) {
	if u, ok := a.(*net.UDPAddr); ok {
		return Request{Addr: u.AddrPort()}.target()
	}
	r, err := ParseRequest(a.String())
	if err != nil {
		return cell.Target{}, err
	}
	return r.target()
}

func (p *PacketConn) send(t cell.Target, b []byte) error {
	switch {
	case len(b) > cell.MaxDatagram:
		return stream.ErrTooLong
	case !p.shared.fits(t) || !p.shared.mayCarry(unencrypted(t.Port)):
		return ErrNotAllowed
	}
	select {
	case <-p.started:
	default:
		early := append(cell.AppendDatagramHeader(nil, t, len(b)), b...)
		if len(early) <= stream.MaxEarly && p.start(early) {
			return p.err
		}
		p.start(nil)
		<-p.started
	}
	if p.err != nil {
		return p.err
	}
	err := p.packets.Send(t, b)
	if errors.Is(err, stream.ErrDropped) {
		p.dropped.Add(1)
		return nil
	}
	return err
}

// ReadFrom implements net.PacketConn. The address is a *net.UDPAddr.
func (p *PacketConn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := p.receive(b)
	if err != nil {
		return 0, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

func (p *PacketConn) receive(b []byte) (int, netip.AddrPort, error) {
	if err := p.wait(); err != nil {
		return 0, netip.AddrPort{}, err
	}
	n, from, err := p.packets.Receive(b)
	return n, from.AddrPort(), p.shared.heed(err)
}

// wait returns when the association is there.
func (p *PacketConn) wait() error {
	<-p.started
	return p.err
}

// Close ends the association. What was written still goes out.
func (p *PacketConn) Close() error {
	p.ended.Do(func() {
		p.starting.Do(func() { // nothing was ever sent
			p.err = net.ErrClosed
			close(p.started)
		})
		if p.wait() == nil {
			p.packets.Close()
		}
		p.shared.unuse()
	})
	return nil
}

// LocalAddr implements net.PacketConn. There is no address of its own here.
func (p *PacketConn) LocalAddr() net.Addr { return addr("") }

// SetDeadline implements net.PacketConn.
func (p *PacketConn) SetDeadline(t time.Time) error {
	p.SetWriteDeadline(t)
	return p.SetReadDeadline(t)
}

// SetReadDeadline implements net.PacketConn.
func (p *PacketConn) SetReadDeadline(t time.Time) error {
	p.deadlines.setRead(t)
	return nil
}

// SetWriteDeadline implements net.PacketConn.
func (p *PacketConn) SetWriteDeadline(t time.Time) error {
	p.writeBy.Store(&t)
	return nil
}
