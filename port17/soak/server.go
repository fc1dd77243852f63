package soak

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

const serverStreams = 4096 // at a time

// A Server is the destination of a Load's streams and datagrams.
type Server struct {
	listener net.Listener
	packets  net.PacketConn
	running  sync.WaitGroup
	slots    chan struct{}
	patience time.Duration

	mu   sync.Mutex
	open map[net.Conn]bool // nil when closed
}

// Serve answers on a listener and a socket until Close, which closes both. What
// says nothing for as long as patience is ended.
func Serve(l net.Listener, packets net.PacketConn, patience time.Duration) *Server {
	s := &Server{listener: l, packets: packets, slots: make(chan struct{}, serverStreams), patience: patience, open: make(map[net.Conn]bool)}
	s.running.Go(s.accept)
	s.running.Go(s.echo)
	return s
}

// TCP is where streams are taken.
func (s *Server) TCP() string { return s.listener.Addr().String() }

// UDP is where datagrams are sent back.
func (s *Server) UDP() netip.AddrPort { return s.packets.LocalAddr().(*net.UDPAddr).AddrPort() }

// Close ends all streams and waits for that.
func (s *Server) Close() {
	s.listener.Close()
	s.packets.Close()
	s.mu.Lock()
	for c := range s.open {
		c.Close()
	}
	s.open = nil
	s.mu.Unlock()
	s.running.Wait()
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		select {
		case s.slots <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		if !s.enter(conn) {
			conn.Close()
			return
		}
		s.running.Go(func() {
			s.serve(wire{conn.(*net.TCPConn), s.patience})
			s.leave(conn)
			<-s.slots
		})
	}
}

func (s *Server) enter(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		return false
	}
	s.open[c] = true
	return true
}

func (s *Server) leave(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// serve answers one request. Who asked learns of what goes wrong.
func (s *Server) serve(w wire) {
	r, err := readRequest(w)
	if err != nil {
		return
	}
	switch r.kind {
	case download:
		if send(w, newPattern(r.number), r.size) == nil && w.CloseWrite() == nil {
			io.Copy(io.Discard, w) //nolint:errcheck // its end is what is waited for
		}
	case cut:
		send(w, newPattern(r.number), r.size) //nolint:errcheck // it ends with an error anyhow
		w.vanish()
	case upload:
		s.upload(w, r)
	case echo:
		if _, err := io.Copy(w, struct{ io.Reader }{w}); err != nil {
			w.vanish()
		}
	case ping:
		var b [8]byte
		for {
			if _, err := io.ReadFull(w, b[:]); err != nil {
				return
			}
			if _, err := w.Write(b[:]); err != nil {
				return
			}
		}
	}
}

// upload checks what comes and tells the user. What ends with an error ends
// with one for the user, too. What ends too early is nobody's lie if an exit was
// killed, because the system ends its connections: but then no user hears it.
func (s *Server) upload(w wire, r request) {
	err := receive(w, newPattern(r.number), r.size)
	if _, ok := err.(wrong); err == nil || ok {
		verdict := uploadRight
		if err != nil {
			verdict = uploadWrong
		}
		w.Write([]byte{verdict}) //nolint:errcheck // the user sees that nothing came
	}
}

// echo sends datagrams back.
func (s *Server) echo() {
	b := make([]byte, 1<<16)
	for {
		n, from, err := s.packets.ReadFrom(b)
		if err != nil {
			return
		}
		s.packets.WriteTo(b[:n], from) //nolint:errcheck // it counts as lost
	}
}
