package wrap

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"safing/netmap"
)

func dialRaw(t *testing.T, e netmap.Entrance, proto string) (*quic.Conn, error) {
	t.Helper()
	c := quicConfig(handshakeTimeout)
	return quic.DialAddr(t.Context(), e.Addr.String(), &tls.Config{NextProtos: []string{proto}, InsecureSkipVerify: true}, c)
}

// Bytes that are no QUIC, another protocol in it, and connections on which no
// link comes lead nowhere; the listener goes on.
func TestQUICStrangers(t *testing.T) {
	_, hasty := listen(t, netmap.QUIC, Config{handshake: time.Second})
	l, e := listen(t, netmap.QUIC, Config{})
	udp, err := net.Dial("udp", e.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for _, n := range []int{0, 1, 20, 1200, 1400} {
		for _, first := range []byte{0, 0x40, 0xc0, 0xff} {
			b := make([]byte, n)
			if n > 0 {
				b[0] = first
			}
			udp.Write(b) //nolint:errcheck // nobody has to take it
		}
	}
	if c, err := dialRaw(t, e, "h3"); err == nil {
		t.Error("another protocol was agreed on")
		c.CloseWithError(0, "")
	}
	var silent *quic.Conn
	for deadline := time.Now().Add(10 * time.Second); silent == nil; { // under load it may be too slow
		if silent, err = dialRaw(t, hasty, alpn); err != nil && time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	select {
	case <-silent.Context().Done():
	case <-time.After(10 * time.Second):
		t.Error("a connection without a link was kept")
		silent.CloseWithError(0, "")
	}

	two, err := dialRaw(t, e, alpn)
	if err != nil {
		t.Fatal(err)
	}
	defer two.CloseWithError(0, "")
	first, err := two.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(first, "x") //nolint:errcheck // Accept tells
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := two.OpenStream(); err == nil {
		t.Error("a connection has two streams")
	}
	if _, err := two.OpenUniStream(); err == nil {
		t.Error("a connection has another stream")
	}
}

// Of connections that have not become links there are so many at most; before
// that their addresses have to prove true.
func TestQUICHalfOpen(t *testing.T) {
	l, e := listen(t, netmap.QUIC, Config{})
	l.halfOpen.Add(maxHalfOpen)
	if c, err := dialRaw(t, e, alpn); err == nil {
		t.Error("one too many was taken")
		c.CloseWithError(0, "")
	}
	l.halfOpen.Add(-maxHalfOpen / 3)
	c, err := Dial(t.Context(), someNode, e)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "x") //nolint:errcheck // Accept tells
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	io.Copy(io.Discard, other) //nolint:errcheck // until it has gone
	other.Close()
	l.halfOpen.Add(maxHalfOpen/3 - maxHalfOpen)
}

// Who was connected to a node that has crashed learns that from the one that has
// taken its place.
func TestReset(t *testing.T) {
	key := [32]byte{1}
	own, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	transport := &quic.Transport{Conn: socket, StatelessResetKey: (*quic.StatelessResetKey)(&key)}
	crashing, err := transport.Listen(&tls.Config{NextProtos: []string{alpn}, Certificates: []tls.Certificate{own}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(socket.LocalAddr().String())
	c, err := Dial(t.Context(), someNode, netmap.Entrance{Wrapping: netmap.QUIC, Addr: at})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := crashing.Accept(t.Context()); err != nil {
		t.Fatal(err)
	}
	socket.Close() // nothing more can be said
	transport.Close()
	l, err := Listen(t.Context(), netmap.QUIC, at.String(), Config{Node: someNode, ResetKey: &key})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Wait()
	defer l.Close()
	c.Write(make([]byte, 1000)) //nolint:errcheck // Read tells
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the crash: %v, want a reset", err)
	}
}

func TestWindows(t *testing.T) {
	w := windows{granted: make(map[*quic.Conn]uint64)}
	a, b := new(quic.Conn), new(quic.Conn)
	if !w.grant(a, windowBudget/2) || !w.grant(b, windowBudget/4) || !w.grant(a, windowBudget/4) {
		t.Error("what there is was not granted")
	}
	if w.grant(b, 1) {
		t.Error("more than there is was granted")
	}
	w.forget(a)
	w.forget(a)
	if !w.grant(b, windowBudget*3/4) || w.grant(a, 1) {
		t.Error("what has become free was not granted, or more")
	}
}
