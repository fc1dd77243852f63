package client_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/client"
)

// A request that has no end is not kept until its time is over.
func TestEndlessRequest(t *testing.T) {
	c, err := client.New(t.Context(), client.Config{Network: &netmap.Network{Name: "test"}, State: t.TempDir()})
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
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the proxy still reads: %v", err)
	}
}
