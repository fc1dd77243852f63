package history

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var start = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func key(cookie uint64) Key {
	return Key{cookie, "tcp", netip.MustParseAddrPort("192.0.2.1:443")}
}

func ids(list []Connection) []uint64 {
	var ids []uint64
	for _, c := range list {
		ids = append(ids, c.ID)
	}
	return ids
}

func TestKernelAndGatewayMeetInOneEntry(t *testing.T) {
	for _, order := range []string{"kernel first", "gateway first"} {
		t.Run(order, func(t *testing.T) {
			table := NewTable(10, 0)
			announce := func() uint64 { return table.Announce(key(7), Connection{Reason: "kernel"}) }
			claim := func() uint64 { return table.Claim(key(7), Connection{Reason: "gateway"}) }
			var a, b uint64
			if order == "kernel first" {
				a, b = announce(), claim()
			} else {
				b = claim()
				table.End(b, start, "")
				a = announce()
			}
			if a != b || table.Len() != 1 {
				t.Errorf("entries %d and %d, %d in all; want one", a, b, table.Len())
			}
			if open := table.Unclaimed(); len(open) != 0 {
				t.Errorf("the gateway carries it, but it is listed as the kernel's: %v", open)
			}
			if again := announce(); again == a {
				t.Error("a second connection of the same socket went into the entry of the first")
			}
		})
	}
}

func TestTheEndedMakeRoomFirst(t *testing.T) {
	table := NewTable(3, 100)
	for cookie := range uint64(3) {
		table.Announce(key(cookie), Connection{})
	}
	table.End(102, start, "")
	table.Add(Connection{})
	if got, want := ids(table.Snapshot(Filter{})), []uint64{101, 103, 104}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	table.Add(Connection{})
	if got, want := ids(table.Snapshot(Filter{})), []uint64{103, 104, 105}; !slices.Equal(got, want) {
		t.Errorf("with all of them open: got %v, want %v", got, want)
	}
	if table.Lost() != 2 {
		t.Errorf("%d lost to a store that never came, want 2", table.Lost())
	}
}

func TestEndIsFinal(t *testing.T) {
	table := NewTable(10, 0)
	id := table.Add(Connection{})
	table.End(id, start, "reset by the tunnel")
	table.End(id, start.Add(time.Hour), "")
	table.Update(id, func(c *Connection) { c.Ended = nil; c.ID = 99; c.Destination.Country = "DE" })
	got := table.Snapshot(Filter{})[0]
	if got.ID != id || got.Ended == nil || !got.Ended.Equal(start) || got.Error != "reset by the tunnel" || got.Destination.Country != "DE" {
		t.Errorf("got %+v", got)
	}
}

func TestFilter(t *testing.T) {
	table := NewTable(10, 0)
	for _, c := range []Connection{
		{App: App{"curl", "curl"}, Verdict: "tunnel"},
		{App: App{"firefox", "Firefox"}, Verdict: "permit"},
		{App: App{"", "nc"}, Process: Process{Path: "/usr/bin/nc"}, Verdict: "deny"},
		{App: App{"curl", "curl"}, Verdict: "deny"},
	} {
		table.Add(c)
	}
	tests := []struct {
		filter Filter
		want   []uint64
	}{
		{Filter{}, []uint64{1, 2, 3, 4}},
		{Filter{App: "curl"}, []uint64{1, 4}},
		{Filter{App: "Firefox"}, []uint64{2}},
		{Filter{App: "/usr/bin/nc"}, []uint64{3}},
		{Filter{Verdict: "deny"}, []uint64{3, 4}},
		{Filter{Verdict: "deny", App: "curl"}, []uint64{4}},
		{Filter{Limit: 2}, []uint64{3, 4}},
		{Filter{App: "nobody"}, nil},
	}
	for _, tt := range tests {
		if got := ids(table.Snapshot(tt.filter)); !slices.Equal(got, tt.want) {
			t.Errorf("%+v: got %v, want %v", tt.filter, got, tt.want)
		}
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(10, 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() {
			time.Sleep(time.Second)
			table.Add(Connection{})
		}()
		began := time.Now()
		if err := table.Wait(ctx, 0); err != nil || time.Since(began) != time.Second {
			t.Errorf("woken with %v after %v", err, time.Since(began))
		}
		if err := table.Wait(ctx, table.Since(0).Version); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nothing changed, but %v", err)
		}
	})
}

// TestFollowers lets a table change at random while a reader follows it now
// and then: what the reader puts together is always what the table holds.
func TestFollowers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := NewTable(rapid.IntRange(1, 8).Draw(t, "limit"), 0)
		seen := map[uint64]Connection{}
		var version uint64
		anyID := rapid.Uint64Range(1, 40)
		anyKey := rapid.Map(rapid.Uint64Range(1, 6), key)
		follow := func(t *rapid.T) {
			d := table.Since(version)
			version = d.Version
			if d.Reset {
				clear(seen)
			}
			for _, id := range d.Removed {
				delete(seen, id)
			}
			for _, c := range d.Connections {
				seen[c.ID] = c
			}
			for _, n := range d.Counters {
				c, ok := seen[n.ID]
				if !ok {
					t.Fatalf("counts of %d, which was never shown", n.ID)
				}
				c.Sent, c.Received = n.Sent, n.Received
				seen[n.ID] = c
			}
			want := map[uint64]Connection{}
			for _, c := range table.Snapshot(Filter{}) {
				want[c.ID] = c
			}
			if diff := cmp.Diff(want, seen, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Fatalf("the follower differs (-table +follower):\n%s", diff)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"announce": func(t *rapid.T) { table.Announce(anyKey.Draw(t, "key"), Connection{}) },
			"claim":    func(t *rapid.T) { table.Claim(anyKey.Draw(t, "key"), Connection{}) },
			"add":      func(*rapid.T) { table.Add(Connection{}) },
			"end":      func(t *rapid.T) { table.End(anyID.Draw(t, "id"), start, "") },
			"count":    func(t *rapid.T) { table.Count(anyID.Draw(t, "id"), rapid.Uint64().Draw(t, "n"), 0) },
			"update": func(t *rapid.T) {
				table.Update(anyID.Draw(t, "id"), func(c *Connection) { c.Reason += "+" })
			},
			"follow": follow,
			"": func(t *rapid.T) {
				if table.open.Len()+table.ended.Len() != table.Len() || table.changed.Len() != table.Len() || table.Len() > table.limit || len(table.byKey) > table.Len() {
					t.Fatal("the table's lists disagree")
				}
			},
		})
	})
}

// TestRemovalsAreBounded checks that a reader who was away for too long is
// told to start afresh.
func TestRemovalsAreBounded(t *testing.T) {
	table := NewTable(1, 0)
	table.Add(Connection{})
	version := table.Since(0).Version
	for range 2 * removalLimit {
		table.Add(Connection{})
	}
	if len(table.removed) > removalLimit {
		t.Errorf("%d removals kept", len(table.removed))
	}
	if d := table.Since(version); !d.Reset || len(d.Connections) != 1 {
		t.Errorf("reset %v with %d connections", d.Reset, len(d.Connections))
	}
}

func BenchmarkTable(b *testing.B) {
	table := NewTable(10_000, 0)
	n := uint64(0)
	for b.Loop() {
		n++
		table.Announce(key(n), Connection{Verdict: "permit"})
	}
}
