package node

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit/stream"
	"safing/tinker"
)

// becomeExit makes this node the circuit's end. The caller holds mu.
func (r *relay) becomeExit(p cell.Parameters) {
	r.mux = stream.New(stream.Config{
		Pool: &r.node.pool, Start: cell.HeaderSize + 1, Size: cell.ContentSize(p.Position),
		Delay:  time.Duration(2*(p.Position+1)) * p.Delay, // there are no more hops than layers
		Accept: r.node.exit.forCircuit(), Refused: r.node.exit.ended.add,
		Send: func(cells []*cell.Buf) error {
			if reason := r.sendOwn(cells); reason != 0 {
				go r.end(reason, 0) // not here: the mux calls
			}
			return nil // its streams learn why from the end
		},
	})
	r.mux.Ready()
}

// sendOwn sends what the exit has for the origin.
func (r *relay) sendOwn(cells []*cell.Buf) (reason cell.Reason) {
	r.node.exit.passed.Add(uint64(len(cells)))
	r.sealing.Lock()
	defer r.sealing.Unlock()
	if r.lost {
		r.node.pool.PutAll(cells)
		return 0 // it is ending
	}
	if r.mix != nil {
		reason = r.wait(r.mix.back, r.back, cells)
		r.lost = reason != 0
		return reason
	}
	for _, b := range cells {
		if err := r.onion.SealOwn(b[cell.HeaderSize:], tinker.LayerLocal, nil); err != nil {
			return r.sendBackLocked(err, cells)
		}
	}
	return r.sendBackLocked(nil, cells)
}

// An exit connects streams to their targets.
type exit struct {
	policy   netmap.ExitPolicy
	from     []netip.Addr // the node's own addresses
	resolver resolver
	library  *library // nil if no directory is served
	limits   ExitLimits
	slots    quota         // connections and sockets, by circuit: they are files, which links need too
	naming   chan struct{} // one for each name that is looked up for a connection

	associations quota         // by circuit
	lookups      chan struct{} // a slot for each of their lookups
	destinations destinations
	drops        [dropReasons]atomic.Uint64
	ended        endings       // of streams
	names        lookups       // what became of those that were looked up
	passed       atomic.Uint64 // cells to and from streams
	idle         time.Duration // after which associations end
	idleDNS      time.Duration // those of which all datagrams went to resolvers

	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	streams map[*stream.Stream]struct{} // that are connected
}

func newExit(policy netmap.ExitPolicy, from []netip.Addr, limits ExitLimits) *exit {
	limits = limits.withDefaults()
	e := &exit{
		policy: policy, from: from, resolver: &net.Resolver{PreferGo: true}, limits: limits,
		slots: quota{limit: limits.Connections}, naming: make(chan struct{}, maxLookupsTCP),
		associations: quota{limit: maxAssociations}, lookups: make(chan struct{}, exitLookups),
		destinations: newDestinations(limits.DestinationRate),
		idle:         idleTime, idleDNS: idleDNS, streams: make(map[*stream.Stream]struct{}),
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
	if e.library != nil {
		e.library.close()
	}
	e.running.Wait()
}

// forCircuit returns what takes the new streams of one circuit.
func (e *exit) forCircuit() func(*stream.Stream, cell.Target) {
	b := e.newBudget()
	return func(s *stream.Stream, to cell.Target) { e.accept(s, to, b) }
}

// accept takes a new stream. It must not block.
func (e *exit) accept(s *stream.Stream, to cell.Target, b *budget) {
	if e.ctx.Err() != nil {
		e.refuse(s, cell.ShuttingDown)
		return
	}
	if to.Directory {
		e.read(s, b)
		return
	}
	slots, held, serve := &e.slots, &b.connections, e.serve
	if to.UDP {
		slots, held, serve = &e.associations, &b.associations, e.associate
		if !b.take() { // of a connection, it depends on where to
			e.refuse(s, cell.TooFast)
			return
		}
	}
	if !slots.take(held, 1) {
		e.refuse(s, cell.ExitFull)
		return
	}
	e.running.Go(func() {
		serve(s, b, func() {
			e.ended.add(endReason(s.Err()))
			slots.give(held, 1)
		})
	})
}

// refuse ends a stream that is not served.
func (e *exit) refuse(s *stream.Stream, reason cell.Reason) {
	s.Reset(reason)
	e.ended.add(reason)
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
func (e *exit) serve(s *stream.Stream, b *budget, free func()) {
	conn, reason := e.connectFor(s, b)
	if reason != 0 {
		s.Reset(reason)
		free()
		return
	}
	s.Connected(reached(s.Target(), conn))
	e.running.Go(func() { // connecting has made this goroutine's stack large
		e.splice(s, conn)
		free()
	})
}

// connectFor connects to the stream's target, as long as the stream lasts.
func (e *exit) connectFor(s *stream.Stream, b *budget) (*net.TCPConn, cell.Reason) {
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
	return e.connect(ctx, s.Target(), b)
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
