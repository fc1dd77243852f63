package probe

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"safing/port17/cell"
)

const (
	mostConns      = 256 // that the server answers at a time
	mostTargets    = 8
	requestTimeout = 15 * time.Second
	answerTimeout  = 2 * time.Minute
	acceptPause    = 100 * time.Millisecond
)

// ServerConfig says where a server is.
type ServerConfig struct {
	// Listen are the addresses and ports on which it answers. Exits need to
	// allow one of them: web ports are what most do.
	Listen []string
	// Addresses are how exits reach them: addresses or names, with ports. If
	// there are none, as in Listen.
	Addresses []string
}

// A Server answers what a prober asks through exits, in plain and in TLS on the
// same ports. Others learn from it that it is a web server.
type Server struct {
	listeners   []net.Listener
	targets     []cell.Target
	certificate tls.Certificate
	hash        [sha256.Size]byte // of the certificate

	running sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	tickets map[string]*ticket
	conns   map[net.Conn]struct{}
}

// NewServer listens and answers until Close. The certificate is made anew.
func NewServer(ctx context.Context, c ServerConfig) (*Server, error) {
	if len(c.Listen) == 0 || len(c.Listen) > mostTargets || len(c.Addresses) > mostTargets {
		return nil, fmt.Errorf("the server for probes has %d addresses, and needs 1 to %d", len(c.Listen), mostTargets)
	}
	s := &Server{tickets: make(map[string]*ticket), conns: make(map[net.Conn]struct{})}
	var err error
	if s.certificate, err = selfSigned(); err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	s.hash = sha256.Sum256(s.certificate.Certificate[0])
	addresses := c.Addresses
	var config net.ListenConfig
	for _, address := range c.Listen {
		l, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen for probes: %w", err), s.Close())
		}
		s.listeners = append(s.listeners, l)
		if len(c.Addresses) == 0 {
			addresses = append(addresses, l.Addr().String())
		}
	}
	for _, a := range addresses {
		t, err := parseTarget(a)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.targets = append(s.targets, t)
	}
	for _, l := range s.listeners {
		s.running.Go(func() { s.accept(l) })
	}
	return s, nil
}

func parseTarget(address string) (cell.Target, error) {
	host, text, err := net.SplitHostPort(address)
	var port uint64
	if err == nil {
		port, err = strconv.ParseUint(text, 10, 16)
	}
	if err != nil {
		return cell.Target{}, fmt.Errorf("the address for probes %q is not a name or an address with a port: %w", address, err)
	}
	t, err := cell.NewTarget(host, uint16(port))
	if err == nil && t.Addr.IsUnspecified() {
		err = errors.New("name the address at which exits reach this machine")
	}
	if err != nil {
		return t, fmt.Errorf("the address for probes %q: %w", address, err)
	}
	return t, nil
}

// selfSigned makes a certificate that nobody else has.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := crand.Int(crand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(crand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// Close ends the server and waits for it.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	s.running.Wait()
	if errors.Is(errors.Join(errs...), net.ErrClosed) { // it was closed before
		return nil
	}
	return errors.Join(errs...)
}

// issue makes the server answer the ticket until revoke.
func (s *Server) issue(t *ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tickets[t.token] = t
}

func (s *Server) revoke(t *ticket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tickets, t.token)
}

func (s *Server) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // too many files are open: some are closed soon
			<-time.After(acceptPause)
			continue
		}
		if !s.keep(conn) {
			conn.Close()
			continue
		}
		s.running.Go(func() {
			defer s.forget(conn)
			s.serve(conn)
		})
	}
}

// keep says whether there is room for the connection.
func (s *Server) keep(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= mostConns {
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *Server) forget(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// tlsHandshake is the type of the first record that a client of TLS sends (RFC
// 8446, 5.1). No request begins with it.
const tlsHandshake = 22

// serve answers one request. Errors are the other side's, which sees them.
func (s *Server) serve(conn net.Conn) {
	conn.SetDeadline(time.Now().Add(requestTimeout))
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		return
	}
	var c net.Conn = begun{conn, io.MultiReader(bytes.NewReader(first), conn)}
	if first[0] == tlsHandshake {
		c = tls.Server(c, &tls.Config{Certificates: []tls.Certificate{s.certificate}})
	}
	request, err := readRequest(c)
	if err != nil {
		return
	}
	t := s.find(request)
	if t == nil {
		io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") //nolint:errcheck // nobody of ours has asked
		return
	}
	t.asked(netip.MustParseAddrPort(conn.RemoteAddr().String()).Addr().Unmap(), request)
	conn.SetDeadline(time.Now().Add(answerTimeout))
	if _, err := io.CopyBuffer(onlyWriter{c}, t.answer(), make([]byte, 64<<10)); err == nil {
		if end, ok := c.(*tls.Conn); ok {
			end.CloseWrite() //nolint:errcheck // the connection ends in any case
		}
	}
}

// begun is a connection of which the first byte was read.
type begun struct {
	net.Conn
	r io.Reader
}

func (b begun) Read(p []byte) (int, error) { return b.r.Read(p) }

// onlyWriter keeps io.CopyBuffer to its buffer.
type onlyWriter struct{ io.Writer }

var headerEnd = []byte("\r\n\r\n")

// readRequest reads a request without a body.
func readRequest(r io.Reader) ([]byte, error) {
	b := make([]byte, 0, mostHeader)
	for len(b) < mostHeader {
		n, err := r.Read(b[len(b):mostHeader])
		b = b[:len(b)+n]
		if bytes.Contains(b, headerEnd) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, errors.New("the request is too long")
}

// find returns the ticket that a request is for; nil if there is none. Who
// changes requests may change much, but not the ticket's name and get an answer.
func (s *Server) find(request []byte) *ticket {
	rest, ok := bytes.CutPrefix(request, []byte("GET /"))
	if !ok || len(rest) < 2*tokenSize {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tickets[string(rest[:2*tokenSize])]
}
