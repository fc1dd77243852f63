package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

const (
	questionLimit = 1024             // over UDP at a time; more are dropped, and asked again
	streamLimit   = 256              // TCP connections at a time
	streamIdle    = 10 * time.Second // for the next question on one
	writeLimit    = 5 * time.Second
	acceptPause   = 50 * time.Millisecond // when the process is out of descriptors
	portAttempts  = 16                    // to find a port that is free for both protocols
)

// A Server answers questions. Make one with [New]. C stands for who asks.
type Server[C any] struct {
	config    Config[C]
	forwarder *forwarder
	cache     cache
	// resolve asks upstreams.
	resolve func(ctx context.Context, q dns.Question, dnssec, unchecked bool, p path) (*answer, error)

	packets []*net.UDPConn
	streams []*net.TCPListener
	slots   chan struct{} // taken by questions over UDP
	conns   chan struct{} // taken by TCP connections

	answered, refused, failed atomic.Uint64

	ctx  context.Context
	stop context.CancelFunc

	mu      sync.Mutex // guards the start of work
	closed  bool
	work    sync.WaitGroup
	closing sync.Once
}

// New checks the configuration and opens the sockets. Questions wait until
// [Server.Serve] is called. The caller closes the server.
func New[C any](c Config[C]) (*Server[C], error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	f, err := newForwarder(c.Upstreams, c.RootCAs, c.Log)
	if err != nil {
		return nil, err
	}
	s := &Server[C]{
		config: c, forwarder: f, resolve: f.resolve,
		slots: make(chan struct{}, questionLimit), conns: make(chan struct{}, streamLimit),
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	for _, a := range c.Listen {
		packets, streams, err := listen(a)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.packets, s.streams = append(s.packets, packets), append(s.streams, streams)
	}
	return s, nil
}

// listen opens a UDP and a TCP socket on the same port.
func listen(a netip.AddrPort) (*net.UDPConn, *net.TCPListener, error) {
	var wrong error
	for range portAttempts {
		streams, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(a))
		if err != nil {
			return nil, nil, fmt.Errorf("answer DNS questions on %s: %w: is it used by another program?", a, err)
		}
		packets, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(streams.Addr().(*net.TCPAddr).AddrPort()))
		if err == nil {
			return packets, streams, nil
		}
		streams.Close()
		wrong = fmt.Errorf("answer DNS questions on %s: %w: is it used by another program?", a, err)
		if a.Port() != 0 {
			break
		}
	}
	return nil, nil, wrong
}

// Addrs are the addresses that are listened on, in the order of
// Config.Listen.
func (s *Server[C]) Addrs() []netip.AddrPort {
	all := make([]netip.AddrPort, len(s.packets))
	for i, p := range s.packets {
		a := p.LocalAddr().(*net.UDPAddr).AddrPort()
		all[i] = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	return all
}

// Stats counts questions.
func (s *Server[C]) Stats() Stats {
	return Stats{Answered: s.answered.Load(), Refused: s.refused.Load(), Failed: s.failed.Load()}
}

// Serve answers questions until ctx ends or the server is closed, and then
// waits for what it has begun.
func (s *Server[C]) Serve(ctx context.Context) {
	s.mu.Lock()
	if !s.closed {
		for _, p := range s.packets {
			s.work.Go(func() { s.servePackets(p) })
		}
		for _, l := range s.streams {
			s.work.Go(func() { s.serveStreams(l) })
		}
	}
	s.mu.Unlock()
	select {
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	s.Close()
}

// Close ends the server and waits for what it has begun. Questions that wait
// for an upstream stay without an answer.
func (s *Server[C]) Close() {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.stop()
		for _, p := range s.packets {
			p.Close()
		}
		for _, l := range s.streams {
			l.Close()
		}
	})
	s.work.Wait()
	s.forwarder.close()
}

func (s *Server[C]) servePackets(p *net.UDPConn) {
	buf := make([]byte, 65535)
	for {
		n, source, err := p.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			if !s.pause() {
				return
			}
			continue
		}
		select {
		case s.slots <- struct{}{}:
		default:
			continue
		}
		message := append([]byte(nil), buf[:n]...)
		s.work.Go(func() {
			defer func() { <-s.slots }()
			reply := s.handle(s.ctx, message, plainAddr(source), UDP)
			if reply == nil || s.ctx.Err() != nil {
				return
			}
			if _, err := p.WriteToUDPAddrPort(reply, source); err != nil {
				s.config.Log.Debug("send an answer", "to", source, "error", err)
			}
		})
	}
}

func plainAddr(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// pause waits a little; it returns false when the server is closed.
func (s *Server[C]) pause() bool {
	t := time.NewTimer(acceptPause)
	defer t.Stop()
	select {
	case <-s.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (s *Server[C]) serveStreams(l *net.TCPListener) {
	for {
		c, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.config.Log.Error("accept a connection for questions", "error", err)
			if !s.pause() {
				return
			}
			continue
		}
		select {
		case s.conns <- struct{}{}:
			s.work.Go(func() {
				defer func() { <-s.conns }()
				s.serveStream(c)
			})
		default:
			c.Close()
		}
	}
}

// serveStream answers the questions on a connection one after the other.
func (s *Server[C]) serveStream(c *net.TCPConn) {
	defer c.Close()
	defer context.AfterFunc(s.ctx, func() { c.Close() })()
	source := plainAddr(c.RemoteAddr().(*net.TCPAddr).AddrPort())
	for {
		c.SetReadDeadline(time.Now().Add(streamIdle)) //nolint:errcheck // then reading fails
		message, err := readFramed(c)
		if err != nil {
			return
		}
		reply := s.handle(s.ctx, message, source, TCP)
		if reply == nil || s.ctx.Err() != nil {
			return
		}
		c.SetWriteDeadline(time.Now().Add(writeLimit)) //nolint:errcheck // then writing fails
		if writeFramed(c, reply) != nil {
			return
		}
	}
}
