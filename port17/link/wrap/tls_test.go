package wrap

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"safing/netmap"
)

// certificateFor writes a certificate for the host with its key.
func certificateFor(t *testing.T, dir, host string) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	roots = x509.NewCertPool()
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots.AddCert(cert)
	return certFile, keyFile, roots
}

// Whoever looks at the port finds a web server, also on the way to links when
// something is missing.
func TestProbe(t *testing.T) {
	_, e := listen(t, netmap.TLS, Config{})
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	good := http.Header{
		"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	without := func(name, value string) http.Header {
		h := good.Clone()
		h.Set(name, value)
		return h
	}
	for _, test := range []struct {
		method, path string
		header       http.Header
		status       int
		body         string
	}{
		{"GET", "/", nil, 200, page},
		{"HEAD", "/", nil, 200, ""},
		{"POST", "/", nil, 405, "405 method not allowed\n"},
		{"GET", "/.env", nil, 404, "404 page not found\n"},
		{"GET", "/", good, 200, page},
		{"GET", "/port17", good, 404, "404 page not found\n"},
		{"GET", path(netmap.NodeID{9}), good, 404, "404 page not found\n"},
		{"GET", path(someNode), nil, 404, "404 page not found\n"},
		{"POST", path(someNode), good, 404, "404 page not found\n"},
		{"GET", path(someNode), without("Connection", "close"), 404, "404 page not found\n"},
		{"GET", path(someNode), without("Upgrade", "h2c"), 404, "404 page not found\n"},
		{"GET", path(someNode), without("Sec-WebSocket-Version", "8"), 404, "404 page not found\n"},
		{"GET", path(someNode), without("Sec-WebSocket-Key", "short"), 404, "404 page not found\n"},
		{"GET", path(someNode), good, 101, ""},
	} {
		request, err := http.NewRequestWithContext(t.Context(), test.method, "https://"+e.Addr.String()+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.header != nil {
			request.Header = test.header.Clone()
		}
		answer, err := transport.RoundTrip(request)
		if err != nil {
			t.Errorf("%s %s: %v", test.method, test.path, err)
			continue
		}
		var body []byte
		if test.status != 101 {
			body, _ = io.ReadAll(answer.Body)
		}
		answer.Body.Close()
		if answer.StatusCode != test.status || string(body) != test.body {
			t.Errorf("%s %s with %v: %d %q, want %d %q", test.method, test.path, test.header, answer.StatusCode, body, test.status, test.body)
		}
	}
}

// Bytes that are no TLS and no HTTP end the connection, and so do those that
// come too slowly; the listener goes on.
func TestGarbage(t *testing.T) {
	_, e := listen(t, netmap.TLS, Config{handshake: 500 * time.Millisecond})
	var running sync.WaitGroup
	inTLS := func() (net.Conn, error) {
		return tls.Dial("tcp", e.Addr.String(), &tls.Config{InsecureSkipVerify: true})
	}
	plain := func() (net.Conn, error) { return net.Dial("tcp", e.Addr.String()) }
	for name, test := range map[string]struct {
		dial func() (net.Conn, error)
		send string
	}{
		"garbage":             {plain, strings.Repeat("\x16\x03\x01\xff", 100)},
		"plain HTTP":          {plain, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		"nothing":             {plain, ""},
		"half a hello":        {plain, "\x16\x03\x01\x02"},
		"nothing, in TLS":     {inTLS, ""},
		"garbage, in TLS":     {inTLS, "\x00\x01\x02\r\n\r\n"},
		"half a request":      {inTLS, "GET / HTTP/1.1\r\nHost"},
		"a long header":       {inTLS, "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 1<<16)},
		"a body without end":  {inTLS, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"},
		"an unknown protocol": {inTLS, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
	} {
		running.Go(func() {
			c, err := test.dial()
			if err != nil {
				return // it was too slow for the listener
			}
			defer c.Close()
			io.WriteString(c, test.send) //nolint:errcheck // it may have been closed meanwhile
			c.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: the connection was kept", name)
			}
		})
	}
	running.Wait()
	if c, err := tls.Dial("tcp", e.Addr.String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 is spoken")
		c.Close()
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := Dial(t.Context(), someNode, e)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// Of connections that have not become links there are so many at most, and room
// again when they have ended.
func TestHalfOpen(t *testing.T) {
	l, e := listen(t, netmap.TLS, Config{})
	l.halfOpen.Add(maxHalfOpen)
	if c, err := Dial(t.Context(), someNode, e); err == nil {
		t.Error("one too many was taken")
		c.Close()
	}
	l.halfOpen.Add(-maxHalfOpen)
	c, err := Dial(t.Context(), someNode, e)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if c, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestHost(t *testing.T) {
	certFile, keyFile, roots := certificateFor(t, t.TempDir(), "www.example.org")
	l, e := listen(t, netmap.TLS, Config{Certificate: certFile, Key: keyFile})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for _, test := range []struct {
		host  string
		roots *x509.CertPool
		ok    bool
	}{
		{"", x509.NewCertPool(), true},
		{"www.example.org", roots, true},
		{"www.example.org", x509.NewCertPool(), false},
		{"other.example.org", roots, false},
	} {
		e.Host = test.host
		c, err := dialTLS(t.Context(), e, path(someNode), test.roots)
		if test.ok != (err == nil) {
			t.Errorf("host %q: %v", test.host, err)
		}
		if err == nil {
			if got := c.(*webSocket).tls.ConnectionState().ServerName; got != test.host {
				t.Errorf("the server was asked for %q, want %q", got, test.host)
			}
			c.Close()
		}
	}
	if err := LoadCertificate(certFile, keyFile, "www.example.org"); err != nil {
		t.Error(err)
	}
	if err := LoadCertificate(certFile, keyFile, "other.example.org"); err == nil {
		t.Error("a certificate is for another host")
	}
}

// A certificate that was renewed is used without a restart. One that can't be
// read does not replace one that could.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, _ := certificateFor(t, dir, "a.example.org")
	c, err := newCertificate(Config{Certificate: certFile, Key: keyFile, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	want := func(host string) {
		t.Helper()
		c.looked = time.Time{}
		if got, err := c.get(nil); err != nil || got.Leaf.VerifyHostname(host) != nil {
			t.Errorf("certificate for %v, %v, want %s", got.Leaf.DNSNames, err, host)
		}
	}
	want("a.example.org")
	certificateFor(t, dir, "longer.example.org")
	c.looked = time.Now()
	if got, _ := c.get(nil); got.Leaf.DNSNames[0] != "a.example.org" {
		t.Error("the files are looked at for each connection")
	}
	want("longer.example.org")
	if err := os.WriteFile(certFile, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("longer.example.org")
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	want("longer.example.org")
	certificateFor(t, dir, "again.example.org")
	want("again.example.org")
	for _, bad := range []Config{{Certificate: certFile}, {Key: keyFile}, {Certificate: keyFile, Key: keyFile}, {Certificate: "/nowhere", Key: keyFile}} {
		if _, err := newCertificate(bad); err == nil {
			t.Errorf("certificate %q with key %q was taken", bad.Certificate, bad.Key)
		}
	}
}

// theirClient connects with another implementation.
func theirClient(t *testing.T, l net.Listener, e netmap.Entrance) (client *websocket.Conn, ours net.Conn) {
	t.Helper()
	config, err := websocket.NewConfig("wss://"+e.Addr.String()+path(someNode), "https://"+e.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	config.TlsConfig = &tls.Config{InsecureSkipVerify: true}
	if client, err = websocket.DialConfig(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	client.PayloadType = websocket.BinaryFrame
	if ours, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	return client, ours
}

// Nothing but binary messages of bounded length is taken.
func TestBadMessages(t *testing.T) {
	l, e := listen(t, netmap.TLS, Config{})
	for name, send := range map[string]func(*websocket.Conn){
		"too long": func(c *websocket.Conn) { c.Write(make([]byte, maxMessage+1)) },
		"text": func(c *websocket.Conn) {
			c.PayloadType = websocket.TextFrame
			c.Write([]byte("hello"))
		},
	} {
		client, ours := theirClient(t, l, e)
		go io.Copy(io.Discard, client) //nolint:errcheck // so that it can be told
		go send(client)
		if n, err := io.Copy(io.Discard, ours); err == nil || n > maxMessage+1 {
			t.Errorf("%s: %d bytes were read, %v", name, n, err)
		}
	}
}

// What we speak is WebSocket to others, too.
func TestOtherImplementation(t *testing.T) {
	l, e := listen(t, netmap.TLS, Config{})
	data := make([]byte, 1<<20)
	rand.Read(data)
	echo := func(c io.ReadWriteCloser) {
		defer c.Close()
		io.CopyN(c, c, int64(len(data))) //nolint:errcheck // the other end tells
	}
	check := func(name string, c io.ReadWriter) {
		t.Helper()
		go func() {
			for part := range slices.Chunk(data, 64<<10) {
				c.Write(part) //nolint:errcheck // what comes back tells
			}
		}()
		got := make([]byte, len(data))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %v", name, err)
		}
	}

	client, ours := theirClient(t, l, e)
	go echo(ours)
	check("their client", client)

	cert, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: websocket.Server{Handler: func(c *websocket.Conn) {
		c.PayloadType = websocket.BinaryFrame
		echo(c)
	}}}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(tcp) //nolint:errcheck // it ends with the test
	}()
	defer func() {
		server.Close()
		<-served
	}()
	mine, err := Dial(t.Context(), someNode, netmap.Entrance{Wrapping: netmap.TLS, Addr: netip.MustParseAddrPort(tcp.Addr().String())})
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	check("their server", mine)
}

// A server that does not answer as one that takes links does is refused, and one
// that is silent is waited for as long as the caller wants.
func TestBadServer(t *testing.T) {
	for name, answer := range map[string]string{
		"a page":       "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"wrong key":    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
		"no end":       "HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat("X: y\r\n", 1<<12),
		"no HTTP":      "SSH-2.0-OpenSSH\r\n\r\n",
		"half of it":   "HTTP/1.1 101 Swi",
		"nothing else": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cert, err := selfSigned()
			if err != nil {
				t.Fatal(err)
			}
			tcp, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
			if err != nil {
				t.Fatal(err)
			}
			defer tcp.Close()
			served := make(chan struct{})
			go func() {
				defer close(served)
				c, err := tcp.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				http.ReadRequest(bufio.NewReader(c)) //nolint:errcheck // the client tells
				io.WriteString(c, answer)            //nolint:errcheck // the client tells
				io.Copy(io.Discard, c)               //nolint:errcheck // until it has gone
			}()
			ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, errors.New("enough"))
			defer cancel()
			c, err := Dial(ctx, someNode, netmap.Entrance{Wrapping: netmap.TLS, Addr: netip.MustParseAddrPort(tcp.Addr().String())})
			if err == nil {
				c.Close()
				t.Error("it was taken for a server that takes links")
			}
			if waited := strings.Contains(fmt.Sprint(err), "enough"); waited != (name == "wrong key" || name == "half of it" || name == "nothing else") {
				t.Errorf("error %v", err)
			}
			<-served
		})
	}
}
