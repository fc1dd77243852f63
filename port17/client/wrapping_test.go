package client_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/client"
	"safing/port17/testnet"
)

// A client that is to use a wrapping uses no other, and reaches what others do.
func TestWrappings(t *testing.T) {
	n := testnet.Start(t, 5)
	to := site(t)
	for _, w := range []netmap.Wrapping{netmap.TCP, netmap.QUIC, netmap.TLS} {
		t.Run(w.String(), func(t *testing.T) {
			c, err := client.New(t.Context(), client.Config{Network: n.Trust, State: t.TempDir(), Wrappings: []netmap.Wrapping{w}, Ahead: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if err := c.Ready(ctx); err != nil {
				t.Fatal(err)
			}
			for _, app := range []string{"a", "b", "c"} {
				conn, err := c.Dial(ctx, client.Request{Addr: to, App: app})
				if err != nil {
					t.Fatal(err)
				}
				if seen := get(t, conn); !strings.HasPrefix(seen, "127.") {
					t.Errorf("the site answered %q", seen)
				}
			}
			circuits := c.Circuits()
			for _, v := range circuits {
				if v.Wrapping != w.String() {
					t.Errorf("a circuit goes over a link in %s, want %s", v.Wrapping, w)
				}
			}
			if n := len(inUse(c)); n != 3 {
				t.Errorf("%d circuits, want 3", n)
			}
		})
	}
}
