package wrap

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"safing/netmap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var wrappings = []netmap.Wrapping{netmap.QUIC, netmap.TLS}

var someNode = netmap.NodeID{1, 2, 3}

// listen takes connections until the test ends.
func listen(t testing.TB, w netmap.Wrapping, c Config) (*Listener, netmap.Entrance) {
	t.Helper()
	c.Node = someNode
	l, err := Listen(t.Context(), w, "127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close()
		l.Close()
		l.Wait()
		if n := l.halfOpen.Load(); n != 0 {
			t.Errorf("%d connections are half open after the end", n)
		}
	})
	return l, netmap.Entrance{Wrapping: w, Addr: netip.MustParseAddrPort(l.Addr().String())}
}

// connect returns both ends of a connection.
func connect(t testing.TB, w netmap.Wrapping) (dialled, accepted net.Conn) {
	t.Helper()
	l, e := listen(t, w, Config{})
	var err error
	if dialled, err = Dial(t.Context(), someNode, e); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close() })
	if _, err := dialled.Write([]byte{42}); err != nil { // QUIC tells of a stream with its first byte
		t.Fatal(err)
	}
	if accepted, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	var b [1]byte
	if _, err := io.ReadFull(accepted, b[:]); err != nil || b[0] != 42 {
		t.Fatal(b, err)
	}
	return dialled, accepted
}

func closeWrite(c net.Conn) error { return c.(interface{ CloseWrite() error }).CloseWrite() }

// forAll runs a test in each wrapping.
func forAll(t *testing.T, test func(*testing.T, netmap.Wrapping)) {
	for _, w := range wrappings {
		t.Run(w.String(), func(t *testing.T) { test(t, w) })
	}
}

// Whatever the sizes of writes and reads are, the bytes arrive, both ways at once.
func TestBulk(t *testing.T) {
	forAll(t, func(t *testing.T, w netmap.Wrapping) {
		a, b := connect(t, w)
		var running sync.WaitGroup
		for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
			sent, got := sha256.New(), sha256.New()
			data := make([]byte, 4<<20)
			rand.Read(data)
			running.Go(func() {
				sizes := []int{1, 2, 125, 126, 4113, 1<<16 - 1, 1 << 16, 65555, 200_000}
				for i, rest := 0, data; len(rest) > 0; i++ {
					part := rest[:min(len(rest), sizes[i%len(sizes)])]
					before := bytes.Clone(part)
					if n, err := way[0].Write(part); n != len(part) || err != nil {
						t.Error(n, err)
						return
					}
					if !bytes.Equal(part, before) {
						t.Error("a write has changed what it was given")
					}
					sent.Write(before)
					rest = rest[len(part):]
				}
				if err := closeWrite(way[0]); err != nil {
					t.Error(err)
				}
			})
			running.Go(func() {
				if n, err := io.CopyBuffer(got, struct{ io.Reader }{way[1]}, make([]byte, 5000)); n != int64(len(data)) || err != nil {
					t.Error(n, err)
				}
			})
			defer func() {
				running.Wait()
				if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
					t.Error("what was received is not what was sent")
				}
			}()
		}
	})
}

// Deadlines interrupt, and a connection that was only waited for is still good.
func TestDeadlines(t *testing.T) {
	forAll(t, func(t *testing.T, w netmap.Wrapping) {
		a, b := connect(t, w)
		buf := make([]byte, 10)
		for range 2 {
			a.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := a.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read: %v, want %v", err, os.ErrDeadlineExceeded)
			}
		}
		a.SetReadDeadline(time.Time{})
		b.Write([]byte("later"))
		if n, err := io.ReadFull(a, buf[:5]); err != nil || string(buf[:n]) != "later" {
			t.Errorf("after the deadline: %q, %v", buf[:n], err)
		}
		b.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		var err error
		for err == nil { // nobody reads
			_, err = b.Write(make([]byte, 1<<20))
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v, want %v", err, os.ErrDeadlineExceeded)
		}
	})
}

// Either end's end is the other's.
func TestEnds(t *testing.T) {
	forAll(t, func(t *testing.T, w netmap.Wrapping) {
		for _, first := range []int{0, 1} {
			var ends [2]net.Conn
			ends[0], ends[1] = connect(t, w)
			closing, other := ends[first], ends[1-first]
			closing.Write([]byte("end"))
			closeWrite(closing)
			if got, err := io.ReadAll(other); string(got) != "end" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			if _, err := other.Write([]byte("still")); err != nil {
				t.Errorf("the other direction: %v", err)
			}
			if _, err := io.ReadFull(closing, make([]byte, 5)); err != nil {
				t.Errorf("the other direction: %v", err)
			}
			read := make(chan error)
			go func() {
				_, err := closing.Read(make([]byte, 1))
				read <- err
			}()
			closing.Close()
			if err := <-read; err == nil {
				t.Error("a closed connection could be read")
			}
			if n, err := other.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("after the other side has gone: %d bytes, %v", n, err)
			}
		}
	})
}

// A write that is stuck does not hold Close up.
func TestCloseWhileWriting(t *testing.T) {
	forAll(t, func(t *testing.T, w netmap.Wrapping) {
		a, _ := connect(t, w)
		stuck := make(chan error, 1)
		go func() {
			var err error
			for err == nil {
				_, err = a.Write(make([]byte, 1<<20))
			}
			stuck <- err
		}()
		a.Close()
		if err := <-stuck; err == nil {
			t.Error("the write went through")
		}
		if _, err := a.Write([]byte{1}); err == nil {
			t.Error("a closed connection was written to")
		}
	})
}

// Connections outlive their listener, and its end waits for theirs.
func TestCloseListener(t *testing.T) {
	forAll(t, func(t *testing.T, w netmap.Wrapping) {
		l, e := listen(t, w, Config{})
		a, err := Dial(t.Context(), someNode, e)
		if err != nil {
			t.Fatal(err)
		}
		a.Write([]byte("a"))
		b, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: %v, want %v", err, net.ErrClosed)
		}
		for i, way := range [][2]net.Conn{{a, b}, {b, a}} {
			if _, err := way[0].Write([]byte("b")); err != nil {
				t.Error(err)
			}
			if got := make([]byte, 2-i); true {
				if _, err := io.ReadFull(way[1], got); err != nil {
					t.Error(err)
				}
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if c, err := Dial(ctx, someNode, e); err == nil {
			t.Error("a closed listener takes connections")
			c.Close()
		}
		a.Close()
		b.Close()
		l.Wait()
		again, err := Listen(t.Context(), w, l.Addr().String(), Config{Node: someNode})
		if err != nil {
			t.Fatalf("listen again: %v", err)
		}
		again.Close()
		again.Wait()
	})
}

// Who listens to nothing of the kind is found out soon, and so is silence.
func TestDialNobody(t *testing.T) {
	for _, w := range append(wrappings, netmap.TCP) {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at := netip.MustParseAddrPort(tcp.Addr().String())
		tcp.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if c, err := Dial(ctx, someNode, netmap.Entrance{Wrapping: w, Addr: at}); err == nil {
			t.Errorf("%s: there is somebody", w)
			c.Close()
		}
		cancel()
	}
	if _, err := Dial(t.Context(), someNode, netmap.Entrance{Wrapping: 9}); err == nil {
		t.Error("an unknown wrapping was dialled")
	}
	if _, err := Listen(t.Context(), netmap.TCP, "127.0.0.1:0", Config{}); err == nil {
		t.Error("plain TCP was listened in")
	}
}
