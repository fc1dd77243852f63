package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/proxy"

	"safing/internal/socks"
	"safing/netmap"
	"safing/netmap/netmaptest"
	"safing/port17/client"
	"safing/port17/route"
	"safing/port17/testnet"
)

// A request that has no end is not kept until its time is over.
func TestEndlessRequest(t *testing.T) {
	c, err := client.New(t.Context(), client.Config{Network: netmaptest.Silent(), State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	conn, err := net.Dial("tcp", serveProxy(t, c))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		fmt.Fprint(conn, "CONNECT x:80 HTTP/1.1\r\nA: ")
		io.Copy(conn, strings.NewReader(strings.Repeat("a", 1<<20)))
	}()
	conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the proxy still reads: %v", err)
	}
}

// A user that vanishes takes the connection at the destination along, whichever
// way data went: half an upload must not look like a whole one, and nobody is
// left waiting.
func TestUserVanishes(t *testing.T) {
	at := serveProxy(t, start(t, testnet.Start(t, 6)))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, way := range []string{"upload", "download", "neither"} {
		t.Run(way, func(t *testing.T) {
			user, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			defer user.Close()
			if err := socks.Connect(user, "", l.Addr().String()); err != nil {
				t.Fatal(err)
			}
			io.WriteString(user, "begin")
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			server.SetDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.ReadFull(server, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			switch way {
			case "upload":
				go user.Write(make([]byte, 1<<20))
				io.ReadFull(server, make([]byte, 1<<10))
			case "download":
				go server.Write(make([]byte, 1<<20))
				io.ReadFull(user, make([]byte, 1<<10))
			}
			user.(*net.TCPConn).SetLinger(0)
			user.Close()
			if _, err := io.Copy(io.Discard, server); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the destination's connection ended: %v, want a reset", err)
			}
		})
	}
}

// A lines is a log that can be read while others write it.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Where a user goes is not logged, not even when there is no way to it.
func TestLogsNoDestination(t *testing.T) {
	var log lines
	c, err := client.New(t.Context(), client.Config{
		Network: testnet.Start(t, 4).Trust, State: t.TempDir(),
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelInfo})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	dialer, err := proxy.SOCKS5("tcp", serveProxy(t, c), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dialer.Dial("tcp", "10.9.8.7:80"); err == nil {
		t.Error("an address that no exit allows was connected")
	}
	for deadline := time.Now().Add(5 * time.Second); !strings.Contains(log.String(), "could not be opened"); {
		if time.Now().After(deadline) {
			t.Fatal("nothing was logged")
		}
	}
	if strings.Contains(log.String(), "10.9.8.7") {
		t.Errorf("the log names the destination:\n%s", &log)
	}
}

// A map is believed for as long as it says, also when none follows.
func TestMapRunsOut(t *testing.T) {
	c, err := client.New(t.Context(), client.Config{Network: netmaptest.Silent(), State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for valid, want := range map[time.Duration]error{time.Minute: route.ErrNoRoute, -time.Minute: netmap.ErrExpired} {
		m, err := netmap.New("test", 1, time.Now().Add(-time.Hour), time.Now().Add(valid), nil)
		if err != nil {
			t.Fatal(err)
		}
		c.SetMap(m)
		r := client.Request{Host: "example.org", Addr: netip.AddrPortFrom(netip.Addr{}, 443)}
		if _, err := c.Dial(t.Context(), r); !errors.Is(err, want) {
			t.Errorf("dial: %v, want %v", err, want)
		}
		if _, err := c.Explain(r); !errors.Is(err, want) {
			t.Errorf("explain: %v, want %v", err, want)
		}
	}
}

// Different credentials separate, whatever bytes they have, and those of SOCKS
// from those of HTTP.
func TestCredentialsSeparate(t *testing.T) {
	socks := func(user, password string) string {
		return "\x05\x01\x02\x01" + string([]byte{byte(len(user))}) + user + string([]byte{byte(len(password))}) + password +
			"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50"
	}
	http := func(header string) string {
		return "CONNECT 192.0.2.1:80 HTTP/1.1\r\nHost: 192.0.2.1:80\r\n" + header + "\r\n"
	}
	seen := make(map[string]string)
	for _, request := range []string{
		"\x05\x01\x00\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x50", socks("", ""), socks("a", "\x00b"), socks("a\x00", "b"), socks("a\x00b", ""),
		socks("", "a\x00b"), socks("Basic ", "YTph"),
		http("Proxy-Authorization: Basic YTph\r\n"), http("Proxy-Authorization: Basic YTpi\r\n"),
	} {
		got, err := client.IsolationOf([]byte(request))
		if err != nil {
			t.Fatalf("%q: %v", request, err)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q are not separated", request, other)
		}
		seen[got] = request
	}
}
