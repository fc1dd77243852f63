package stream_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
	"pgregory.net/rapid"

	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

// write sends data in chunks, and that it is over.
func write(s *stream.Stream, data []byte, chunk int) error {
	for len(data) > 0 {
		n, err := s.Write(data[:min(chunk, len(data))])
		if err != nil {
			return err
		}
		data = data[n:]
	}
	return s.CloseWrite()
}

// exchange writes and reads at the same time, until both sides have closed.
func exchange(s *stream.Stream, data []byte, chunk int, want []byte) error {
	written := make(chan error, 1)
	go func() { written <- write(s, data, chunk) }()
	got, err := io.ReadAll(s)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%d bytes arrived which are not the %d that were sent", len(got), len(want))
	}
	return errors.Join(err, <-written)
}

func TestBytesArrive(t *testing.T) {
	piece := rapid.Custom(func(t *rapid.T) []byte {
		n := rapid.IntRange(0, 2*reach).Draw(t, "length")
		at := rapid.IntRange(0, len(noise)-n).Draw(t, "at")
		return noise[at : at+n]
	})
	rapid.Check(t, func(t *rapid.T) {
		p := connect()
		defer p.end(t)
		n := rapid.IntRange(1, 8).Draw(t, "streams")
		results := make(chan error, 2*n)
		for i := range n {
			there, back := piece.Draw(t, "there"), piece.Draw(t, "back")
			early := rapid.IntRange(0, min(len(there), stream.MaxEarly)).Draw(t, "early")
			chunk := rapid.IntRange(1000, 100_000).Draw(t, "chunk")
			s, peer := p.open(t, there[:early])
			go func() { results <- exchange(s, there[early:], chunk, back) }()
			go func() { results <- exchange(peer, back, chunk+i, there) }()
		}
		for range 2 * n {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestFirst(t *testing.T) {
	for _, n := range []int{0, 10, 1990, 2000, 5000, stream.MaxEarly} {
		p := newPair(0)
		area := make([]byte, 2000)
		s, used, err := p.origin.First(area, site, noise[:n])
		if err != nil {
			t.Fatal(err)
		}
		p.track(s)
		if want := min(2000, 7+15+min(n, 1)*cell.DataOverhead+n); used != want {
			t.Errorf("%d bytes: %d of the area used, want %d", n, used, want)
		}
		if len(p.out.cells) != 0 {
			t.Errorf("%d bytes: sent before the circuit was ready", n)
		}
		if err := p.exit.ReceiveFirst(area); err != nil {
			t.Fatal(err)
		}
		s.CloseWrite()
		p.origin.Ready()
		p.run()
		peer := <-p.accepted
		if peer.Target() != site {
			t.Errorf("target %v", peer.Target())
		}
		if got, err := io.ReadAll(peer); err != nil || !bytes.Equal(got, noise[:n]) {
			t.Errorf("%d bytes: %d arrived, %v", n, len(got), err)
		}
		p.end(t)
	}
}

func TestOpenErrors(t *testing.T) {
	p := newPair(0)
	defer p.end(t)
	if _, err := p.origin.Open(cell.Target{Port: 1}, nil); err == nil {
		t.Error("a target without a host was opened")
	}
	if _, err := p.origin.Open(site, make([]byte, stream.MaxEarly+1)); !errors.Is(err, stream.ErrEarlyTooLong) {
		t.Error(err)
	}
	for range 256 {
		if _, err := p.origin.Open(site, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.origin.Open(site, nil); !errors.Is(err, stream.ErrTooManyStreams) {
		t.Error(err)
	}
	p.origin.Close(io.ErrUnexpectedEOF)
	if _, err := p.origin.Open(site, nil); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
}

// ends calls f with the ends of a stream, either way round.
func ends(t *testing.T, f func(t *testing.T, p *pair, s, peer *stream.Stream)) {
	for _, name := range []string{"origin", "exit"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := connect()
				defer p.end(t)
				s, peer := p.open(t, nil)
				if name == "exit" {
					s, peer = peer, s
				}
				f(t, p, s, peer)
			})
		})
	}
}

func TestCloseWrite(t *testing.T) {
	ends(t, func(t *testing.T, _ *pair, s, peer *stream.Stream) {
		if err := write(s, []byte("question"), 3); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(peer); err != nil || string(got) != "question" {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := s.Write([]byte("more")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after it: %v", err)
		}
		go write(peer, noise, len(noise))
		if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, noise) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

func TestCloseRead(t *testing.T) {
	ends(t, func(t *testing.T, _ *pair, s, peer *stream.Stream) {
		told := make(chan bool, 2)
		peer.OnStop(func(reset bool) { told <- reset })
		written := make(chan error)
		go func() {
			_, err := peer.Write(noise)
			written <- err
		}()
		synctest.Wait()
		s.CloseRead()
		s.CloseRead()
		if err := <-written; err == nil {
			t.Error("a writer whose data nobody reads got no error")
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after it: %v", err)
		}
		if <-told || len(told) != 0 {
			t.Error("OnStop was told of a reset, or twice")
		}
		if err := write(s, []byte("answer"), 6); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(peer); err != nil || string(got) != "answer" {
			t.Errorf("%q, %v", got, err)
		}
		late := false
		peer.OnStop(func(bool) { late = true })
		if !late {
			t.Error("OnStop set late was not called")
		}
	})
}

func TestClose(t *testing.T) {
	ends(t, func(t *testing.T, p *pair, s, peer *stream.Stream) {
		read := make(chan error)
		go func() {
			_, err := s.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		if _, err := s.Write(noise[:reach]); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a reader that waited: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if got, err := io.ReadAll(peer); err != nil || !bytes.Equal(got, noise[:reach]) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if _, err := s.Write([]byte("more")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after it: %v", err)
		}
		synctest.Wait()
		if _, err := peer.Write([]byte("more")); err == nil {
			t.Error("the other side could still write")
		}
		peer.Close()
		if n := p.origin.Streams() + p.exit.Streams(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
}

// All who read at the same time learn of the end.
func TestReaders(t *testing.T) {
	p := connect()
	defer p.end(t)
	s, peer := p.open(t, nil)
	const readers = 4
	read := make(chan int64, readers)
	for range readers {
		go func() {
			n, _ := io.Copy(io.Discard, struct{ io.Reader }{peer})
			read <- n
		}()
	}
	if err := write(s, noise, 10_000); err != nil {
		t.Error(err)
	}
	total := int64(0)
	for range readers {
		total += <-read
	}
	if total != int64(len(noise)) {
		t.Errorf("%d bytes were read, want %d", total, len(noise))
	}
}

// A waiting writer ends with its stream.
func TestCloseWhileWriting(t *testing.T) {
	ends(t, func(t *testing.T, _ *pair, s, _ *stream.Stream) {
		written := make(chan error)
		go func() {
			_, err := s.Write(noise)
			written <- err
		}()
		synctest.Wait()
		s.Close()
		if err := <-written; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// A stream that the exit has not been told of needs no end.
func TestCloseUnannounced(t *testing.T) {
	p := newPair(0)
	defer p.end(t)
	s, err := p.origin.Open(site, []byte("early"))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	p.origin.Ready()
	if sent := p.sent(t, &p.out); len(sent) != 0 {
		t.Errorf("%v was sent", sent)
	}
}

func TestReset(t *testing.T) {
	ends(t, func(t *testing.T, p *pair, s, peer *stream.Stream) {
		told := make(chan bool, 2)
		s.OnStop(func(reset bool) { told <- reset })
		peer.OnStop(func(reset bool) { told <- reset })
		s.Write([]byte("before"))
		peer.Write([]byte("unread"))
		synctest.Wait()
		s.Reset(cell.Refused)
		s.Reset(cell.Failed)
		got, err := io.ReadAll(peer)
		if string(got) != "before" {
			t.Errorf("%q was read", got)
		}
		_, writeErr := peer.Write([]byte("x"))
		_, ownErr := s.Read(make([]byte, 1))
		_, ownWriteErr := s.Write([]byte("x"))
		for _, err := range []error{err, writeErr, ownErr, ownWriteErr, s.Err(), peer.Err()} {
			var e *stream.Error
			if !errors.As(err, &e) || e.Reason != cell.Refused {
				t.Errorf("error %v, want %q", err, cell.Refused)
			}
		}
		<-s.Done()
		<-peer.Done()
		if first, second := <-told, <-told; !first || !second {
			t.Error("OnStop was not told of a reset")
		}
		late := false
		peer.OnStop(func(reset bool) { late = reset })
		if !late {
			t.Error("OnStop set late was not called")
		}
		if n := p.origin.Streams() + p.exit.Streams(); n != 0 {
			t.Errorf("%d streams are left", n)
		}
	})
}

// Whoever resets a stream reads no more, and need not close it.
func TestResetGivesBack(t *testing.T) {
	p := newPair(0)
	if _, err := p.origin.Open(site, noise[:10_000]); err != nil {
		t.Fatal(err)
	}
	p.origin.Ready()
	p.out.deliver(p.exit)
	(<-p.accepted).Reset(cell.Refused)
	p.sent(t, &p.back)
	if n := p.pool.Used(); n != 0 {
		t.Errorf("%d cells are still in use", n)
	}
}

func TestMuxClose(t *testing.T) {
	ends(t, func(t *testing.T, p *pair, s, peer *stream.Stream) {
		s.Write([]byte("before"))
		synctest.Wait()
		p.origin.Close(io.ErrClosedPipe)
		p.origin.Close(io.ErrNoProgress)
		p.exit.Close(io.ErrClosedPipe)
		if got, err := io.ReadAll(peer); string(got) != "before" || err != io.ErrClosedPipe {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := s.Write([]byte("x")); err != io.ErrClosedPipe {
			t.Error(err)
		}
		<-s.Done()
		if err := p.origin.Err(); err != io.ErrClosedPipe {
			t.Error(err)
		}
	})
}

func TestSendFails(t *testing.T) {
	var pool cell.Pool
	m := stream.New(stream.Config{
		Pool: &pool, Start: start, Size: size,
		Send: func([]*cell.Buf) error { return io.ErrShortWrite },
	})
	s, err := m.Open(site, []byte("early"))
	if err != nil {
		t.Fatal(err)
	}
	m.Ready()
	if _, err := s.Write(noise); err != io.ErrShortWrite {
		t.Error(err)
	}
	if n := pool.Used(); n != 0 || m.Err() != io.ErrShortWrite {
		t.Errorf("%d cells in use, %v", n, m.Err())
	}
}

func TestDeadlines(t *testing.T) {
	past, soon := -time.Second, time.Minute
	for _, test := range []struct {
		name string
		set  []time.Duration // one after the other; 0 is none
		want error
	}{
		{"none", nil, io.EOF},
		{"past", []time.Duration{past}, os.ErrDeadlineExceeded},
		{"soon", []time.Duration{soon}, os.ErrDeadlineExceeded},
		{"later", []time.Duration{past, soon}, os.ErrDeadlineExceeded},
		{"taken back", []time.Duration{soon, 0}, io.EOF},
		{"past taken back", []time.Duration{past, 0}, io.EOF},
		{"far", []time.Duration{10 * soon}, io.EOF},
	} {
		t.Run(test.name, func(t *testing.T) {
			ends(t, func(t *testing.T, _ *pair, s, peer *stream.Stream) {
				s.Write(noise[:reach]) // no more fits
				for _, d := range test.set {
					at := time.Time{}
					if d != 0 {
						at = time.Now().Add(d)
					}
					s.SetDeadline(at)
				}
				time.AfterFunc(2*soon, func() { peer.Close() })
				if n, err := s.Read(make([]byte, 1)); n != 0 || err != test.want {
					t.Errorf("read: %d, %v", n, err)
				}
				n, err := s.Write([]byte("x"))
				if n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) != (test.want != io.EOF) {
					t.Errorf("write: %d, %v", n, err)
				}
			})
		})
	}
}

func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		p := connect()
		s, peer := p.open(t, nil)
		return s, peer, p.stop, nil
	})
}

func TestAddr(t *testing.T) {
	p := connect()
	defer p.end(t)
	s, _ := p.open(t, nil)
	if a := s.RemoteAddr(); a.String() != "example.com:443" || a.Network() != "port17" {
		t.Errorf("%s %s", a.Network(), a)
	}
	if a := s.LocalAddr().String(); a != "" {
		t.Error(a)
	}
}
