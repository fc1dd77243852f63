package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	nameLimit    = 3 * time.Second // for the system's resolver to answer
	nameSessions = 64              // TCP connections at a time
)

// A nameServer stands in for the provider's: it answers names below .test
// with 127.0.0.1 and hands every other question to the system's resolver.
type nameServer struct {
	packets   net.PacketConn
	streams   net.Listener
	forwarder string // address of the system's resolver, empty when it has none
	slots     chan struct{}
}

// listenNames serves on a free loopback port, UDP and TCP alike.
func listenNames() (*nameServer, error) {
	streams, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the lab's name server: %w", err)
	}
	packets, err := net.ListenPacket("udp", streams.Addr().String())
	if err != nil {
		streams.Close()
		return nil, fmt.Errorf("start the lab's name server: %w", err)
	}
	return &nameServer{
		packets: packets, streams: streams,
		forwarder: systemResolver("/etc/resolv.conf"),
		slots:     make(chan struct{}, nameSessions),
	}, nil
}

// systemResolver is the first name server of a resolv.conf.
func systemResolver(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "nameserver" {
			return net.JoinHostPort(f[1], "53")
		}
	}
	return ""
}

// serve answers until ctx ends.
func (s *nameServer) serve(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { s.packets.Close(); s.streams.Close() })
	defer stop()
	go s.serveStreams()
	buf := make([]byte, 4096)
	for {
		n, from, err := s.packets.ReadFrom(buf)
		if err != nil {
			return
		}
		question := append([]byte(nil), buf[:n]...)
		select {
		case s.slots <- struct{}{}:
			go func() {
				defer func() { <-s.slots }()
				if answer, err := s.answer(question, "udp"); err == nil {
					s.packets.WriteTo(answer, from) //nolint:errcheck // the asker asks again
				}
			}()
		default: // too many at a time: the asker asks again
		}
	}
}

func (s *nameServer) serveStreams() {
	for {
		c, err := s.streams.Accept()
		if err != nil {
			return
		}
		select {
		case s.slots <- struct{}{}:
			go func() {
				defer func() { <-s.slots }()
				defer c.Close()
				s.serveStream(c)
			}()
		default:
			c.Close()
		}
	}
}

func (s *nameServer) serveStream(c net.Conn) {
	for {
		c.SetDeadline(time.Now().Add(2 * nameLimit)) //nolint:errcheck // a closed connection fails below
		question, err := readMessage(c)
		if err != nil {
			return
		}
		answer, err := s.answer(question, "tcp")
		if err != nil {
			return
		}
		if err := writeMessage(c, answer); err != nil {
			return
		}
	}
}

// answer answers one question that came over the given transport.
func (s *nameServer) answer(question []byte, network string) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	if len(m.Questions) != 1 || m.Response {
		return nil, errors.New("not one question")
	}
	name := strings.ToLower(m.Questions[0].Name.String())
	if strings.HasSuffix(name, ".test.") {
		return local(m)
	}
	answer, err := s.forward(question, network)
	if err != nil {
		m.Response, m.RCode = true, dnsmessage.RCodeServerFailure
		m.Additionals = nil
		return m.Pack()
	}
	return answer, nil
}

// local answers for a name below .test.
func local(m dnsmessage.Message) ([]byte, error) {
	q := m.Questions[0]
	m.Response, m.Authoritative, m.RecursionAvailable = true, true, true
	m.Additionals = nil
	if q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 60},
			Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
		}}
	}
	return m.Pack()
}

// forward hands the question to the system's resolver as it came.
func (s *nameServer) forward(question []byte, network string) ([]byte, error) {
	if s.forwarder == "" {
		return nil, errors.New("the system has no resolver")
	}
	c, err := net.DialTimeout(network, s.forwarder, nameLimit)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(nameLimit)); err != nil {
		return nil, err
	}
	if network == "tcp" {
		if err := writeMessage(c, question); err != nil {
			return nil, err
		}
		return readMessage(c)
	}
	if _, err := c.Write(question); err != nil {
		return nil, err
	}
	answer := make([]byte, 4096)
	n, err := c.Read(answer)
	return answer[:n], err
}

// readMessage reads one message with its length before it (RFC 1035, 4.2.2).
func readMessage(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	m := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, m)
	return m, err
}

func writeMessage(w io.Writer, m []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...))
	return err
}
