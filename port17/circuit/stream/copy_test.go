package stream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"

	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

// tcp returns both ends of a connection.
func tcp(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err != nil {
		t.Fatal(err)
	}
	if b, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

// outward are the ways to write what arrives on a stream.
var outward = map[string]func(*stream.Stream, io.Writer) error{
	"WriteTo": func(s *stream.Stream, w io.Writer) error {
		_, err := s.WriteTo(w)
		return err
	},
	"Pour": func(s *stream.Stream, w io.Writer) error {
		over := make(chan error)
		s.Pour(w, func(err error) { over <- err })
		return <-over
	},
}

// From a connection over a stream to another connection.
func TestCopy(t *testing.T) {
	for _, test := range []struct {
		plain bool
		out   string
	}{{false, "WriteTo"}, {true, "WriteTo"}, {false, "Pour"}} {
		plain, name := test.plain, fmt.Sprint(test)
		for _, n := range []int{0, 1, 10_000, len(noise)} {
			p := connect()
			s, peer := p.open(t, nil)
			in, from := tcp(t)
			to, out := tcp(t)
			var r io.Reader = from
			var w io.Writer = to
			if plain {
				r, w = struct{ io.Reader }{r}, struct{ io.Writer }{w}
			}
			go func() {
				in.Write(noise[:n])
				in.CloseWrite()
			}()
			results := make(chan error, 2)
			go func() {
				k, err := s.ReadFrom(r)
				if err == nil && k != int64(n) {
					err = io.ErrShortWrite
				}
				results <- errors.Join(err, s.CloseWrite())
			}()
			go func() { results <- errors.Join(outward[test.out](peer, w), to.CloseWrite()) }()
			if got, err := io.ReadAll(out); err != nil || !bytes.Equal(got, noise[:n]) {
				t.Errorf("%s: %d bytes of %d, %v", name, len(got), n, err)
			}
			for range 2 {
				if err := <-results; err != nil {
					t.Errorf("%s: %d bytes: %v", name, n, err)
				}
			}
			p.end(t)
		}
	}
}

func TestReadFromErrors(t *testing.T) {
	for name, test := range map[string]struct {
		cut  func(p *pair, s, peer *stream.Stream, in *net.TCPConn)
		want func(error) bool
	}{
		"connection reset": {
			func(_ *pair, _, _ *stream.Stream, in *net.TCPConn) {
				in.SetLinger(0)
				in.Close()
			},
			func(err error) bool { return err != nil },
		},
		"stream reset": {
			func(_ *pair, _, peer *stream.Stream, _ *net.TCPConn) { peer.Reset(cell.Failed) },
			func(err error) bool {
				var e *stream.Error
				return errors.As(err, &e) && e.Reason == cell.Failed
			},
		},
		"stream closed": {
			func(_ *pair, s, _ *stream.Stream, _ *net.TCPConn) { s.Close() },
			func(err error) bool { return errors.Is(err, net.ErrClosed) },
		},
		"nobody reads": {
			func(_ *pair, _, peer *stream.Stream, _ *net.TCPConn) { peer.CloseRead() },
			func(err error) bool { return err != nil },
		},
		"circuit ended": {
			func(p *pair, _, _ *stream.Stream, _ *net.TCPConn) { p.origin.Close(errOver) },
			func(err error) bool { return err == errOver },
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := connect()
			defer p.end(t)
			s, peer := p.open(t, nil)
			in, from := tcp(t)
			go func() {
				for { // more than the windows and the system take
					if _, err := in.Write(noise); err != nil {
						return
					}
				}
			}()
			result := make(chan error)
			go func() {
				_, err := s.ReadFrom(from)
				result <- err
			}()
			if _, err := io.ReadFull(peer, make([]byte, 10_000)); err != nil {
				t.Fatal(err)
			}
			test.cut(p, s, peer, in)
			p.running.Go(func() { io.Copy(io.Discard, peer) })
			if err := <-result; !test.want(err) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestWriteToErrors(t *testing.T) {
	for name, test := range map[string]struct {
		cut  func(p *pair, s, peer *stream.Stream, out *net.TCPConn)
		want func(error) bool
	}{
		"connection closed": {
			func(_ *pair, _, _ *stream.Stream, out *net.TCPConn) { out.Close() },
			func(err error) bool { return err != nil },
		},
		"stream reset": {
			func(_ *pair, s, _ *stream.Stream, _ *net.TCPConn) { s.Reset(cell.Failed) },
			func(err error) bool {
				var e *stream.Error
				return errors.As(err, &e) && e.Reason == cell.Failed
			},
		},
		"stream closed": {
			func(_ *pair, _, peer *stream.Stream, _ *net.TCPConn) { peer.Close() },
			func(err error) bool { return errors.Is(err, net.ErrClosed) },
		},
		"circuit ended": {
			func(p *pair, _, _ *stream.Stream, _ *net.TCPConn) { p.exit.Close(errOver) },
			func(err error) bool { return err == errOver },
		},
	} {
		for how, write := range outward {
			t.Run(name+" "+how, func(t *testing.T) {
				p := connect()
				defer p.end(t)
				s, peer := p.open(t, nil)
				to, out := tcp(t)
				writing := make(chan struct{})
				go func() {
					defer close(writing)
					for {
						if _, err := s.Write(noise); err != nil {
							return
						}
					}
				}()
				result := make(chan error)
				go func() { result <- write(peer, to) }()
				if _, err := io.ReadFull(out, make([]byte, 10_000)); err != nil {
					t.Fatal(err)
				}
				test.cut(p, s, peer, out)
				go io.Copy(io.Discard, out)
				if err := <-result; !test.want(err) {
					t.Errorf("error %v", err)
				}
				s.Close()
				<-writing
			})
		}
	}
}

// A stream that pours needs no goroutine while nothing arrives.
func TestPourIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := connect()
		s, peer := p.open(t, nil)
		synctest.Wait()
		before := runtime.NumGoroutine()
		var got bytes.Buffer
		over := make(chan error, 1)
		peer.Pour(&got, func(err error) { over <- err })
		for _, part := range []string{"one", "two", "three"} {
			s.Write([]byte(part))
			synctest.Wait()
			if n := runtime.NumGoroutine(); n > before { // those of other tests may still end
				t.Errorf("%d goroutines, before it was %d", n, before)
			}
		}
		s.CloseWrite()
		if err := <-over; err != nil || got.String() != "onetwothree" {
			t.Errorf("%q, %v", &got, err)
		}
		p.end(t)
	})
}
