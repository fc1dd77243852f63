package probe_test

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/directory"
	"safing/port17/node"
	"safing/port17/probe"
	"safing/port17/testnet"
)

// The map says what nodes can really carry: neither a slow partner nor what they
// declare changes it. Of the five, the first, in the middle, and the fourth, an
// exit, are slow and declare a hundred times as much.
func TestScanner(t *testing.T) {
	liars := map[int]bool{0: true, 3: true}
	s, err := probe.NewScanner(t.Context(), probe.ScannerConfig{
		Prober: probe.New(probe.Config{Server: serve(t), Transfer: time.Second / 2, Timeout: 2 * time.Second, MostBytes: 20_000_000}),
		State:  t.TempDir(), MeasureEvery: time.Millisecond, Budget: 10_000_000_000, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	keys := make(map[int]ed25519.PrivateKey)
	n := testnet.StartWith(t, testnet.Options{Scanner: s}, 5, func(i int, c *node.Config) {
		keys[i] = c.Identity
		if liars[i] {
			c.Rate, c.Burst = slow, 80_000
		}
	})
	c := directory.New(directory.Config{Network: n.Trust})
	for i := range liars {
		d := *n.Nodes[i].Descriptor()
		d.Capacity, d.Published = 100*slow, time.Now().Add(5*time.Minute).UTC().Truncate(time.Second) // newer than the node's
		signed, err := d.Sign(keys[i])
		if err == nil {
			err = c.Publish(t.Context(), signed)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var last *netmap.Map
	c.Watch(ctx, func(m *netmap.Map) { //nolint:errcheck // it ends when cancelled
		last = m
		for i, node := range n.Nodes {
			at, ok := m.Node(node.ID())
			switch {
			case !ok:
				return
			case liars[i] && !near(at.Measured, slow):
				return
			case !liars[i] && at.Measured < 4*slow:
				return
			}
		}
		cancel()
	})
	for i, node := range n.Nodes {
		if at, ok := last.Node(node.ID()); ok {
			t.Logf("node %d: %d bytes a second", i, at.Measured)
		}
	}
	if context.Cause(ctx) == context.DeadlineExceeded {
		t.Error("what nodes can carry was not found out")
	}
}

// A node that cannot be reached from the authority is not on the map.
func TestScannerUnreachable(t *testing.T) {
	s, err := probe.NewScanner(t.Context(), probe.ScannerConfig{Prober: probe.New(probe.Config{Timeout: time.Second}), State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	n := testnet.StartWith(t, testnet.Options{Scanner: s}, 2)
	dead := pretend(t, "tcp 127.0.0.1", "tcp 127.0.0.1 silent")
	c := directory.New(directory.Config{Network: n.Trust})
	dead.publish(t, c)
	fine := pretend(t, "tcp 127.0.0.1", "tcp ::1", "quic 127.0.0.1 silent")
	fine.publish(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c.Watch(ctx, func(m *netmap.Map) { //nolint:errcheck // it ends when cancelled
		if _, ok := m.Node(dead.ID); ok {
			t.Error("who has an address that is silent is on the map")
		}
		if _, ok := m.Node(fine.ID); ok {
			cancel()
		}
	})
	if context.Cause(ctx) == context.DeadlineExceeded {
		t.Error("who can be reached is not on the map")
	}
}
