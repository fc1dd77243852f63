package client

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
)

// A node that ends a circuit at its age has done nothing wrong, unless it says
// so of a circuit that is in use for new connections.
func TestBlame(t *testing.T) {
	for _, test := range []struct {
		reason cell.Reason
		after  time.Duration
		want   int
	}{
		{cell.Expired, time.Hour, 0},
		{cell.Expired, time.Minute, 1},
		{cell.Busy, time.Hour, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := &Client{failures: newFailures(), config: Config{Log: slog.New(slog.DiscardHandler)}}
			s := &shared{client: c, made: time.Now(), hops: []circuit.Hop{{Node: netmap.Node{Descriptor: &netmap.Descriptor{ID: netmap.NodeID{1}}}}}}
			time.Sleep(test.after)
			s.blame(&circuit.Error{Reason: test.reason})
			if got := len(c.failures.now()); got != test.want {
				t.Errorf("%q after %v: %d nodes are left out, want %d", test.reason, test.after, got, test.want)
			}
		})
	}
}
