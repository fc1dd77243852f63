package tlscheck

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// clientHello is what a real client sends first.
func clientHello(t testing.TB, c *tls.Config) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	go func() {
		defer client.Close()
		tls.Client(client, c).Handshake() //nolint:errcheck // nobody answers
	}()
	if err := server.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, recordHeader)
	if _, err := io.ReadFull(server, header); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, int(header[3])<<8|int(header[4]))
	if _, err := io.ReadFull(server, body); err != nil {
		t.Fatal(err)
	}
	return append(header, body...)
}

// fragment spreads a one-record hello over records of the given size.
func fragment(hello []byte, size int) []byte {
	var out []byte
	for body := hello[recordHeader:]; len(body) > 0; {
		n := min(size, len(body))
		out = append(out, hello[0], hello[1], hello[2], byte(n>>8), byte(n))
		out = append(out, body[:n]...)
		body = body[n:]
	}
	return out
}

func TestParse(t *testing.T) {
	named := clientHello(t, &tls.Config{ServerName: "Www.Example.com"})
	nameless := clientHello(t, &tls.Config{InsecureSkipVerify: true})
	old := clientHello(t, &tls.Config{ServerName: "old.example", MaxVersion: tls.VersionTLS12})
	spoiled := bytes.Clone(named)
	spoiled[recordHeader+handshakeHeader+2+32] = 0xff // a session longer than the message
	hostile := bytes.Replace(named, []byte("Www.Example.com"), []byte("Www\x1b[31m.ex.com"), 1)

	tests := []struct {
		name  string
		in    []byte
		want  Hello
		final bool
	}{
		{"nothing yet", nil, Hello{}, false},
		{"named", named, Hello{TLS, "www.example.com"}, true},
		{"named, TLS 1.2", old, Hello{TLS, "old.example"}, true},
		{"no name", nameless, Hello{TLS, ""}, true},
		{"more behind it", append(bytes.Clone(named), "rest"...), Hello{TLS, "www.example.com"}, true},
		{"spread over records", fragment(named, 7), Hello{TLS, "www.example.com"}, true},
		{"half of it", named[:len(named)/2], Hello{}, false},
		{"only its first byte", named[:1], Hello{}, false},
		{"malformed", spoiled, Hello{Kind: Plaintext}, true},
		{"escape sequence for a name", hostile, Hello{Kind: TLS}, true},
		{"HTTP", []byte("GET / HTTP/1.1\r\n"), Hello{Kind: Plaintext}, true},
		{"SSH", []byte("S"), Hello{Kind: Plaintext}, true},
		{"an alert", []byte{21, 3, 1, 0, 2, 1, 0}, Hello{Kind: Plaintext}, true},
		{"another handshake message", []byte{22, 3, 1, 0, 4, 2, 0, 0, 0}, Hello{Kind: Plaintext}, true},
		{"an empty record", []byte{22, 3, 1, 0, 0}, Hello{Kind: Plaintext}, true},
		{"a record too long", []byte{22, 3, 1, 0xff, 0xff}, Hello{Kind: Plaintext}, true},
		{"another version", []byte{22, 9}, Hello{Kind: Plaintext}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, final := Parse(tt.in)
			if got != tt.want || final != tt.final {
				t.Errorf("got %+v, %v; want %+v, %v", got, final, tt.want, tt.final)
			}
		})
	}
}

// TestHugeHello checks that a hello without end is given up on.
func TestHugeHello(t *testing.T) {
	hello := []byte{22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff}
	hello = append(hello, make([]byte, MaxHello)...)
	var s Sniffer
	told := 0
	for len(hello) > 0 {
		n := min(1000, len(hello))
		if s.Observe(hello[:n]) {
			told++
		}
		hello = hello[n:]
	}
	if told != 1 || s.Hello() != (Hello{Kind: TLS}) || s.seen != nil {
		t.Errorf("told %d times, %+v, %d bytes kept", told, s.Hello(), len(s.seen))
	}
}

func TestSnifferByteByByte(t *testing.T) {
	hello := clientHello(t, &tls.Config{ServerName: "slow.example"})
	var s Sniffer
	for i := range hello {
		if told := s.Observe(hello[i : i+1]); told != (i == len(hello)-1) {
			t.Fatalf("byte %d of %d: told %v", i, len(hello), told)
		}
	}
	if s.Hello().ServerName != "slow.example" {
		t.Errorf("got %+v", s.Hello())
	}
	if s.Observe([]byte("more")) {
		t.Error("told twice")
	}
}

func FuzzParse(f *testing.F) {
	named := clientHello(f, &tls.Config{ServerName: "fuzz.example"})
	f.Add(named)
	f.Add(fragment(named, 11))
	f.Add(named[:60])
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Add([]byte{22, 3, 1, 0, 4, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, final := Parse(b)
		if !final && h != (Hello{}) {
			t.Errorf("not final, but %+v", h)
		}
		if final && h.Kind == Unknown {
			t.Error("final without a kind")
		}
		if h.ServerName != cleanName(h.ServerName) || strings.ContainsAny(h.ServerName, "\x00\x1b<> ") {
			t.Errorf("name %q", h.ServerName)
		}
		// What is final for some bytes stays so for more.
		if more, still := Parse(append(bytes.Clone(b), 0)); final && len(b) < MaxHello && (!still || more != h) {
			t.Errorf("%+v turned into %+v, %v", h, more, still)
		}
	})
}
