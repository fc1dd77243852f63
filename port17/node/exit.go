package node

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit/stream"
	"safing/port17/link"
	"safing/tinker"
)

const (
	lookupTimeout  = 10 * time.Second
	connectTimeout = 20 * time.Second
	maxAddresses   = 4 // of a name that are tried
)

var errOutOfMemory = errors.New("node: out of memory")

// becomeExit makes this node the circuit's end and serves what came with the
// hello. The caller holds mu.
func (r *relay) becomeExit(position int, first []byte) cell.Reason {
	r.mux = stream.New(stream.Config{
		Pool: &r.node.pool, Start: cell.HeaderSize + 1, Size: cell.ContentSize(position),
		Accept: r.node.exit.accept, Refused: r.node.exit.ended.add,
		Send: func(cells []*cell.Buf) error {
			err := r.sendOwn(cells)
			if err != nil {
				go r.end(sendReason(err), 0) // not here: the mux calls
			}
			return err
		},
	})
	r.mux.Ready()
	if r.mux.ReceiveFirst(first) != nil {
		return cell.Protocol
	}
	r.ready.Store(true) // not before: the link's reader would overtake what came first
	return 0
}

func (r *relay) sendOwn(cells []*cell.Buf) error {
	r.sealing.Lock()
	defer r.sealing.Unlock()
	for _, b := range cells {
		if err := r.onion.SealOwn(b[cell.HeaderSize:], tinker.LayerLocal, nil); err != nil {
			return err
		}
	}
	if r.node.pool.Used() > maxCells {
		return errOutOfMemory
	}
	return r.back.Push(cell.Relay, cells...)
}

// sendReason is why a circuit ends from which the exit could not send.
func sendReason(err error) cell.Reason {
	switch {
	case errors.Is(err, errOutOfMemory):
		return cell.OutOfMemory
	case errors.Is(err, link.ErrQueueFull):
		return cell.QueueFull
	case errors.Is(err, tinker.ErrExpired):
		return cell.Expired
	}
	return cell.LinkBroken
}

// A resolver is a [net.Resolver].
type resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// An exit connects streams to their targets.
type exit struct {
	policy   netmap.ExitPolicy
	from     []netip.Addr // the node's own addresses
	resolver resolver
	slots    chan struct{} // one for each connection or socket: they are files, which links need too

	associations chan struct{} // a slot for each
	lookups      chan struct{} // a slot for each of their lookups
	drops        [dropReasons]atomic.Uint64
	ended        endings       // of streams
	idle         time.Duration // after which associations end
	idleDNS      time.Duration // those of which all datagrams went to resolvers

	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	streams map[*stream.Stream]struct{} // that are connected
}

func newExit(policy netmap.ExitPolicy, from []netip.Addr, connections int) *exit {
	e := &exit{
		policy: policy, from: from, resolver: &net.Resolver{PreferGo: true}, slots: make(chan struct{}, connections),
		associations: make(chan struct{}, maxAssociations), lookups: make(chan struct{}, exitLookups),
		idle: idleTime, idleDNS: idleDNS, streams: make(map[*stream.Stream]struct{}),
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	return e
}

// close ends all connections and waits for that.
func (e *exit) close() {
	e.stop()
	e.mu.Lock()
	streams := slices.Collect(maps.Keys(e.streams))
	e.mu.Unlock()
	for _, s := range streams {
		s.Reset(cell.ShuttingDown)
	}
	e.running.Wait()
}

// accept takes a new stream. It must not block.
func (e *exit) accept(s *stream.Stream, to cell.Target) {
	if e.ctx.Err() != nil {
		s.Reset(cell.ShuttingDown)
		e.ended.add(cell.ShuttingDown)
		return
	}
	slots, serve := e.slots, e.serve
	if to.UDP {
		slots, serve = e.associations, e.associate
	}
	select {
	case slots <- struct{}{}:
	default:
		s.Reset(cell.Failed)
		e.ended.add(cell.Failed)
		return
	}
	e.running.Go(func() {
		serve(s, func() {
			e.ended.add(endReason(s.Err()))
			<-slots
		})
	})
}

// endReason is why a stream has ended that was served.
func endReason(err error) cell.Reason {
	var ended *stream.Error
	if errors.As(err, &ended) {
		return ended.Reason
	}
	return cell.Finished
}

// serve connects a stream and gives its slot back once it has ended.
func (e *exit) serve(s *stream.Stream, free func()) {
	conn, reason := e.connectFor(s)
	if reason != 0 {
		s.Reset(reason)
		free()
		return
	}
	s.Connected()
	e.running.Go(func() { // connecting has made this goroutine's stack large
		e.splice(s, conn)
		free()
	})
}

// connectFor connects to the stream's target, as long as the stream lasts.
func (e *exit) connectFor(s *stream.Stream) (*net.TCPConn, cell.Reason) {
	ctx, cancel := context.WithTimeout(e.ctx, connectTimeout)
	defer cancel()
	stopped := make(chan struct{})
	go func() { // nobody waits for the connection any more
		select {
		case <-s.Done():
			cancel()
		case <-stopped:
		}
	}()
	defer close(stopped)
	return e.connect(ctx, s.Target())
}

// connect returns a connection to the target, or why there is none.
func (e *exit) connect(ctx context.Context, to cell.Target) (*net.TCPConn, cell.Reason) {
	if !e.policy.AllowsPort(to.Port) {
		return nil, cell.Policy
	}
	own, err := e.own()
	if err != nil {
		return nil, cell.Failed
	}
	addresses := []netip.Addr{to.Addr}
	if to.Host != "" {
		if addresses, err = e.lookup(ctx, to.Host); err != nil {
			return nil, cell.NoSuchName
		}
	}
	reason := cell.Policy
	tried := 0
	for _, a := range addresses {
		address := netip.AddrPortFrom(a.Unmap(), to.Port)
		if !e.policy.Allows(address, own...) || tried == maxAddresses {
			continue
		}
		tried++
		var dialer net.Dialer
		if from := e.source(address.Addr()); from.IsValid() {
			dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
		}
		conn, err := dialer.DialContext(ctx, "tcp", address.String())
		if err == nil {
			return conn.(*net.TCPConn), 0
		}
		reason = dialReason(err)
	}
	return nil, reason
}

// lookup returns a name's addresses. The name is absolute, so that it means the
// same at every exit: no domain of the operator's search list is tried behind
// it. Localhost is no name of the DNS (RFC 6761, 6.3).
func (e *exit) lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	if strings.EqualFold(name, "localhost") {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return e.resolver.LookupNetIP(ctx, "ip", name+".")
}

// own returns the machine's addresses: those that the node publishes, which may
// be on another machine that passes on, and those of its interfaces now.
func (e *exit) own() ([]netip.Addr, error) {
	interfaces, err := net.InterfaceAddrs()
	own := slices.Clone(e.from)
	for _, i := range interfaces {
		if n, ok := i.(*net.IPNet); ok {
			if a, ok := netip.AddrFromSlice(n.IP); ok {
				own = append(own, a.Unmap())
			}
		}
	}
	return own, err
}

// source is the address to connect from: the node's own of the same family, so
// that what an exit does is seen to come from the exit. Without one it is not
// valid, and the system chooses.
func (e *exit) source(to netip.Addr) netip.Addr {
	for _, a := range e.from {
		if a.Is4() == to.Is4() && a.IsLoopback() == to.IsLoopback() {
			return a
		}
	}
	return netip.Addr{}
}

func dialReason(err error) cell.Reason {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return cell.Refused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return cell.Unreachable
	case errors.As(err, &timeout) && timeout.Timeout():
		return cell.TimedOut
	}
	return cell.Failed
}

// splice copies both ways until both have ended. An abrupt end on one side is
// one on the other.
func (e *exit) splice(s *stream.Stream, conn *net.TCPConn) {
	defer conn.Close()
	if !e.keep(s) {
		s.Reset(cell.ShuttingDown)
		return
	}
	defer e.forget(s)
	s.OnStop(func(reset bool) {
		if reset {
			conn.SetLinger(0) //nolint:errcheck // a connection that is gone needs none
			conn.SetDeadline(time.Unix(1, 0))
			return
		}
		conn.CloseRead()
	})
	forward := make(chan struct{})
	s.Pour(conn, func(err error) {
		if err != nil {
			s.CloseRead() // the destination takes no more
		} else {
			conn.CloseWrite()
		}
		close(forward)
	})
	if _, err := s.ReadFrom(conn); err != nil && s.Err() == nil {
		s.Reset(cell.ConnectionReset)
	} else {
		s.CloseWrite()
	}
	<-forward
	s.Close()
}

// keep remembers a connected stream, so that close can end it, and says whether
// the exit is still there.
func (e *exit) keep(s *stream.Stream) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx.Err() != nil {
		return false
	}
	e.streams[s] = struct{}{}
	return true
}

func (e *exit) forget(s *stream.Stream) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.streams, s)
}
