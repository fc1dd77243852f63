package wrap

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// socketPair returns a WebSocket and, inside TLS, the bytes at its other end.
func socketPair(t testing.TB, client bool) (*webSocket, *tls.Conn) {
	t.Helper()
	cert, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	ours, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	shaken := make(chan error)
	go func() { shaken <- other.Handshake() }()
	if err := errors.Join(ours.(*tls.Conn).Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		raw.Close()
		ours.Close()
	})
	s, err := newWebSocket(ours.(*tls.Conn), bufio.NewReader(strings.NewReader("")), client)
	if err != nil {
		t.Fatal(err)
	}
	return s, other
}

// frames is bytes of a frame, those of its header given.
func rawFrame(payload string, header ...byte) []byte { return append(header, payload...) }

func TestBadFrames(t *testing.T) {
	zero := "\x00\x00\x00\x00"
	for name, test := range map[string]struct {
		client bool
		send   []byte
		want   string
	}{
		"not masked":              {false, rawFrame("abc", 0x82, 3), "masked by the wrong side"},
		"masked":                  {true, rawFrame(zero+"abc", 0x82, 0x83), "masked by the wrong side"},
		"text":                    {true, rawFrame("abc", 0x81, 3), "kind 1"},
		"unknown":                 {true, rawFrame("abc", 0x83, 3), "kind 3"},
		"unknown control":         {true, rawFrame("", 0x8b, 0), "kind 11"},
		"extension":               {true, rawFrame("abc", 0xc2, 3), "extension"},
		"too long":                {true, rawFrame("", 0x82, 127, 0, 0, 0, 0, 0, 0x10, 0, 1), "of 1048577 bytes"},
		"negative":                {true, rawFrame("", 0x82, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), "of 18446744073709551615 bytes"},
		"long ping":               {true, rawFrame("", 0x89, 126, 0, 200), "control frame"},
		"ping in parts":           {true, rawFrame("x", 0x09, 1), "control frame"},
		"unmasked ping":           {false, rawFrame("x", 0x89, 1), "masked by the wrong side"},
		"end within the header":   {true, rawFrame("", 0x82, 126, 1), "EOF"},
		"end within the payload":  {true, rawFrame("ab", 0x82, 3), "unexpected EOF"},
		"end of a masked payload": {false, rawFrame(zero+"ab", 0x82, 0x83), "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			s, other := socketPair(t, test.client)
			other.Write(test.send) //nolint:errcheck // the reader tells
			other.CloseWrite()     //nolint:errcheck // the reader tells
			if _, err := io.Copy(io.Discard, struct{ io.Reader }{s}); err == nil && test.want != "EOF" || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// Middle-boxes may cut messages into frames and send pings in between.
func TestFragments(t *testing.T) {
	s, other := socketPair(t, true)
	var sent []byte
	sent = append(sent, rawFrame("he", 0x02, 2)...)
	sent = append(sent, rawFrame("first", 0x89, 5)...)
	sent = append(sent, rawFrame("", 0x00, 0)...)
	sent = append(sent, rawFrame("ll", 0x00, 2)...)
	sent = append(sent, rawFrame("", 0x8a, 0)...) // a pong that nobody wanted
	sent = append(sent, rawFrame("second", 0x89, 6)...)
	sent = append(sent, rawFrame("o", 0x80, 126, 0, 1)...)
	sent = append(sent, rawFrame("\x03\xe8", 0x88, 2)...)
	go func() {
		for _, b := range sent {
			other.Write([]byte{b}) //nolint:errcheck // the reader tells
		}
	}()
	if got, err := io.ReadAll(s); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := s.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 2+4+6+2+4+1)
	if _, err := io.ReadFull(other, head); err != nil {
		t.Fatal(err)
	}
	pong, data := head[:12], head[12:]
	applyMask(pong[6:], [4]byte(pong[2:]), 0)
	applyMask(data[6:], [4]byte(data[2:]), 0)
	if pong[0] != 0x8a || pong[1] != 0x86 || string(pong[6:]) != "second" || data[0] != 0x82 || data[1] != 0x81 || data[6] != 'x' {
		t.Errorf("sent % x and % x, want the answer to the last ping and a message", pong, data)
	}
}

func TestMask(t *testing.T) {
	mask := [4]byte{1, 2, 3, 4}
	for _, n := range []int{0, 1, 3, 4, 5, 511, 512, 513, 5000} {
		for at := range 4 {
			b := make([]byte, n)
			next := applyMask(b, mask, at)
			for i, got := range b {
				if want := mask[(at+i)%4]; got != want {
					t.Fatalf("byte %d of %d from %d: %d, want %d", i, n, at, got, want)
				}
			}
			if next != (at+n)%4 {
				t.Errorf("after %d from %d: %d", n, at, next)
			}
		}
	}
}

// RFC 6455, 1.3.
func TestAcceptKey(t *testing.T) {
	if got := acceptKey("dGhlIHNhbXBsZSBub25jZQ=="); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Error(got)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(rawFrame("abc", 0x82, 3))
	f.Add(rawFrame("1234abc", 0x82, 0x83))
	f.Add(rawFrame("", 0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0))
	f.Add(rawFrame("", 0x82, 126, 1, 0))
	f.Add(rawFrame("x", 0x89, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, size, err := parseFrame(b)
		if err != nil {
			return
		}
		if size > len(b) {
			if size > maxFrameHeader {
				t.Errorf("a header of %d bytes", size)
			}
			return
		}
		if h.length < 0 || h.length > maxFrame || h.op >= opClose && h.length > maxControl {
			t.Errorf("a payload of %d bytes", h.length)
		}
		if more, again, err := parseFrame(b[:size]); err != nil || again != size || more != h {
			t.Errorf("the header alone is read as %v, %d, %v, want %v, %d", more, again, err, h, size)
		}
		payload := b[size:][:min(len(b)-size, h.length)]
		out := appendFrame(nil, h.op, payload, h.masked)
		back, size, err := parseFrame(out)
		if err != nil || back.op != h.op || back.masked != h.masked || back.length != len(payload) {
			t.Fatalf("read back as %v, %v", back, err)
		}
		applyMask(out[size:], back.mask, 0)
		if !bytes.Equal(out[size:], payload) {
			t.Error("the payload was altered")
		}
	})
}
