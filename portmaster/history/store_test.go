package history

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openStore(t *testing.T, path string, limits Limits) *Store {
	t.Helper()
	s, err := Open(t.Context(), path, limits, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func listed(t *testing.T, s *Store, f Filter) []Connection {
	t.Helper()
	all, err := s.List(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// record follows the table and stops after it has written everything.
func record(t *testing.T, s *Store, table *Table) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Record(ctx, table)
}

func example() Connection {
	return Connection{
		Kind: KindConnect, Started: start, App: App{"curl", "curl"}, Protocol: "tcp",
		Process:     Process{PID: 12, Path: "/usr/bin/curl", Args: []string{"curl", "-s"}, Cgroup: "/lab"},
		Destination: Destination{Address: netip.MustParseAddr("192.0.2.7"), Port: 443, Domain: "example.com", Country: "DE"},
		Verdict:     "tunnel", Reason: "the profile says so", Rule: "tunnel *",
		Route: []Hop{{"id", "alder", "ada", "DE"}}, Sent: 1, Received: 2,
	}
}

func TestStoreKeepsWhatTheTableHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := openStore(t, path, Limits{})
	table := NewTable(10, 0)
	id := table.Announce(key(1), example())
	record(t, s, table)
	table.Count(id, 100, 1<<40)
	record(t, s, table)
	table.End(id, start.Add(time.Minute), "reset")
	table.Add(Connection{Kind: KindDNS, Started: start, Ended: &start, Verdict: "deny"})
	record(t, s, table)
	s.Close()

	s = openStore(t, path, Limits{})
	got, want := listed(t, s, Filter{}), table.Snapshot(Filter{})
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("-table +history:\n%s", diff)
	}
	if last, err := s.LastID(t.Context()); err != nil || last != 2 {
		t.Errorf("last ID %d, %v", last, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for f, want := range map[Filter]int{{App: "curl"}: 1, {Verdict: "deny"}: 1, {Limit: 1}: 1, {App: "no"}: 0} {
		if got := listed(t, s, f); len(got) != want {
			t.Errorf("%+v: %d entries, want %d", f, len(got), want)
		}
	}
}

// TestCountersAlone checks that a step with byte counts only reaches the row.
func TestCountersAlone(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "history.db"), Limits{})
	table := NewTable(10, 0)
	id := table.Add(example())
	version, err := s.flush(table, 0)
	if err != nil {
		t.Fatal(err)
	}
	table.Count(id, 77, 88)
	if _, err := s.flush(table, version); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, s, Filter{})[0]; got.Sent != 77 || got.Received != 88 {
		t.Errorf("got %d and %d bytes", got.Sent, got.Received)
	}
}

// TestCrash leaves a connection open, as a daemon does that is killed.
func TestCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := openStore(t, path, Limits{})
	table := NewTable(10, 0)
	table.Announce(key(1), example())
	record(t, s, table)
	written := time.Now()
	s.Close()

	s = openStore(t, path, Limits{})
	got := listed(t, s, Filter{})
	if len(got) != 1 || got[0].Ended == nil || got[0].Error == "" {
		t.Fatalf("the connection still looks open: %+v", got)
	}
	if d := got[0].Ended.Sub(written).Abs(); d > 5*time.Second {
		t.Errorf("it ended %v away from when it was last written", d)
	}
}

func TestStoreIsBounded(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "history.db"), Limits{Rows: 50, Age: time.Hour})
	now := start.Add(2 * time.Hour)
	table := NewTable(1000, 0)
	for i := range 200 {
		c := example()
		if c.Started = now; i >= 190 { // the clock was set back
			c.Started = start
		}
		table.Add(c)
	}
	if _, err := s.flush(table, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.prune(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	got := ids(listed(t, s, Filter{}))
	if len(got) == 0 || len(got) > 50 || slices.Max(got) != 190 {
		t.Errorf("kept %v", got)
	}
}

// TestBusyTableIsNotLost checks that a batch does not wait while the table
// fills up.
func TestBusyTableIsNotLost(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "history.db"), Limits{})
	table := NewTable(2000, 0)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Record(ctx, table)
	}()
	const all = 10_000
	for i := range all {
		table.Add(Connection{Kind: KindConnect, Started: start, Ended: &start})
		if i%500 == 499 {
			waitSaved(t, table)
		}
	}
	cancel()
	<-done
	if got := listed(t, s, Filter{}); len(got) != all || table.Lost() != 0 {
		t.Errorf("%d of %d kept, %d lost", len(got), all, table.Lost())
	}
}

// waitSaved waits until the store is less than half a table behind.
func waitSaved(t *testing.T, table *Table) {
	t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		table.mu.Lock()
		behind := table.version - table.saved
		table.mu.Unlock()
		if behind <= uint64(table.limit/2) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the store is %d changes behind", behind)
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "history.db")
	if err := os.WriteFile(path, []byte("this is no database, it is a letter to a friend"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, Limits{}, nil); err == nil {
		t.Error("a file that is no database was opened")
	}
}

func BenchmarkStore(b *testing.B) {
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "history.db"), Limits{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	table := NewTable(10_000, 0)
	version := uint64(0)
	for b.Loop() {
		for range 1000 {
			table.Add(example())
		}
		if version, err = s.flush(table, version); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "connections/s")
}
