package node

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

const (
	maxAssociations = 2048 // each has buffers for the greatest datagrams
	maxReadErrors   = 100  // of a socket, one after the other

	// idleTime is after what time without datagrams an association ends (RFC
	// 4787, 4.3), and idleDNS if all went to resolvers.
	idleTime = 2 * time.Minute
	idleDNS  = 30 * time.Second
)

// A datagram has room for one byte too many, so that one which is longer is
// recognised.
type datagram [cell.MaxDatagram + 1]byte

var datagrams = sync.Pool{New: func() any { return new(datagram) }}

// An association passes the datagrams of one stream on, from one socket for
// each family of addresses, and those back that come from where it has sent to.
type association struct {
	exit    *exit
	budget  *budget // of its circuit
	stream  *stream.Stream
	packets *stream.Datagrams
	names   names
	running sync.WaitGroup

	last   atomic.Int64 // when a datagram passed, in nanoseconds since begun
	begun  time.Time
	beyond atomic.Bool // not all went to resolvers

	mu      sync.Mutex
	sockets [2]*net.UDPConn // IPv4, IPv6
	peers   peers
	closed  bool
}

// associate serves a stream of datagrams to its end, and gives its slot back.
func (e *exit) associate(s *stream.Stream, b *budget, free func()) {
	defer free()
	ctx, cancel := context.WithCancel(e.ctx)
	a := &association{exit: e, budget: b, stream: s, packets: stream.NewDatagrams(s), begun: time.Now()}
	a.names.start(ctx, e, a.sendFirst)
	unregister := context.AfterFunc(e.ctx, func() { s.Reset(cell.ShuttingDown) })
	defer unregister()
	a.running.Go(a.packets.Run)
	s.Connected(netip.Addr{})
	a.touch()
	s.Reset(a.forward())
	cancel()
	a.names.wait()
	a.close()
	a.running.Wait()
}

// forward sends what comes from the origin, until that or the circuit ends, or
// nothing has passed for long.
func (a *association) forward() cell.Reason {
	a.stream.SetReadDeadline(time.Now().Add(a.patience()))
	for {
		err := a.packets.Await()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			left := a.patience() - a.idle()
			if left <= 0 {
				return cell.Idle
			}
			a.stream.SetReadDeadline(time.Now().Add(left))
			continue
		}
		if err != nil {
			return cell.Finished
		}
		b := datagrams.Get().(*datagram)
		n, to, err := a.packets.Receive(b[:])
		if err == nil {
			a.send(to, b[:n])
		}
		datagrams.Put(b)
	}
}

func (a *association) touch() { a.last.Store(int64(time.Since(a.begun))) }

func (a *association) idle() time.Duration { return time.Since(a.begun) - time.Duration(a.last.Load()) }

func (a *association) patience() time.Duration {
	if a.beyond.Load() {
		return a.exit.idle
	}
	return a.exit.idleDNS
}

func (a *association) send(to cell.Target, p []byte) {
	switch {
	case !a.exit.policy.AllowsPort(to.Port):
		a.exit.drop(dropPolicy)
	case to.Host != "":
		a.names.send(to, p)
	default:
		if err := a.sendTo(to.AddrPort(), p); err != nil {
			a.exit.drop(why(err))
		}
	}
}

// sendFirst sends to the first of a name's addresses that can be sent to.
func (a *association) sendFirst(addresses []netip.Addr, port uint16, p []byte) {
	err := errPolicy
	for _, to := range addresses {
		if err = a.sendTo(netip.AddrPortFrom(to.Unmap().WithZone(""), port), p); err == nil {
			return
		}
	}
	a.exit.drop(why(err))
}

var errPolicy = errors.New("the exit's policy does not allow it")

func why(err error) drop {
	switch {
	case errors.Is(err, errPolicy):
		return dropPolicy
	case errors.Is(err, errTooFast), errors.Is(err, errCrowded):
		return dropLimit
	}
	return dropFailed
}

func (a *association) sendTo(to netip.AddrPort, p []byte) error {
	a.mu.Lock()
	known := a.peers.has(to)
	a.mu.Unlock()
	if !known {
		if err := a.admit(to); err != nil {
			return err
		}
	}
	c, err := a.socket(to)
	if err != nil {
		return err
	}
	if to.Port() != 53 && !a.beyond.Swap(true) {
		a.stream.SetReadDeadline(time.Now().Add(a.exit.idle))
	}
	a.touch()
	_, err = c.WriteToUDPAddrPort(p, to)
	return err
}

// admit says why datagrams may not go to an address to which none went of late.
func (a *association) admit(to netip.AddrPort) error {
	switch {
	case !a.exit.allows(to):
		return errPolicy
	case netmap.IsPublic(to.Addr()) && !a.budget.take():
		return errTooFast
	case !a.exit.destinations.take(to.Addr()):
		return errCrowded
	}
	return nil
}

// allows says whether datagrams may go to the address.
func (e *exit) allows(to netip.AddrPort) bool {
	if !e.policy.Allows(to) { // most that is refused is so without asking the system
		return false
	}
	own, err := e.own()
	return err == nil && e.policy.Allows(to, own...)
}

// socket returns the one to send from, and expects answers from the peer.
func (a *association) socket(peer netip.AddrPort) (*net.UDPConn, error) {
	family := 0
	if peer.Addr().Is6() {
		family = 1
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, net.ErrClosed
	}
	if a.sockets[family] == nil {
		c, err := a.exit.openSocket(peer.Addr(), a.budget)
		if err != nil {
			return nil, err
		}
		a.sockets[family] = c
		a.running.Go(func() { a.back(c) })
	}
	a.peers.add(peer)
	return a.sockets[family], nil
}

var errNoSlot = errors.New("the exit has as many connections as it makes")

// openSocket opens a socket that takes one of the exit's slots.
func (e *exit) openSocket(to netip.Addr, b *budget) (*net.UDPConn, error) {
	if !e.slots.take(&b.connections, 1) {
		return nil, errNoSlot
	}
	network, address := "udp4", ""
	if to.Is6() {
		network = "udp6"
	}
	if from := e.source(to); from.IsValid() {
		address = netip.AddrPortFrom(from, 0).String()
	}
	config := net.ListenConfig{Control: noBroadcast}
	c, err := config.ListenPacket(e.ctx, network, address)
	if err != nil {
		e.slots.give(&b.connections, 1)
		return nil, err
	}
	return c.(*net.UDPConn), nil
}

// back passes on what comes from where the association has sent to.
func (a *association) back(c *net.UDPConn) {
	b := datagrams.Get().(*datagram)
	defer datagrams.Put(b)
	for errs := 0; errs < maxReadErrors; {
		n, from, err := c.ReadFromUDPAddrPort(b[:])
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // some systems report what became of earlier datagrams
			errs++
			continue
		}
		errs = 0
		from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
		a.mu.Lock()
		known := a.peers.has(from)
		a.mu.Unlock()
		if !known {
			a.exit.drop(dropStranger)
			continue
		}
		a.touch()
		err = a.packets.Send(cell.Target{Addr: from.Addr(), Port: from.Port()}, b[:n])
		switch {
		case errors.Is(err, stream.ErrDropped):
			a.exit.drop(dropFull)
		case err != nil:
			a.exit.drop(dropFailed)
		}
	}
	a.stream.Reset(cell.Failed)
}

func (a *association) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, c := range a.sockets {
		if c != nil {
			c.Close()
			a.exit.slots.give(&a.budget.connections, 1)
		}
	}
}

// maxPeers is how many addresses one of two generations holds.
const maxPeers = 512

// peers are the addresses to which was sent last: 512 at least, 1024 at most.
type peers struct {
	young, old map[netip.AddrPort]bool
}

func (p *peers) has(a netip.AddrPort) bool { return p.young[a] || p.old[a] }

func (p *peers) add(a netip.AddrPort) {
	if p.young[a] {
		return
	}
	if p.young == nil || len(p.young) == maxPeers {
		p.young, p.old = make(map[netip.AddrPort]bool), p.young
	}
	p.young[a] = true
}
