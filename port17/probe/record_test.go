package probe

import (
	"testing"
	"time"

	"safing/netmap"
)

// A node is given up when it misses three probes in a row while others answer, and
// taken again at its first answer.
func TestRecord(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	const every = 30 * time.Minute
	type step struct {
		reached, told bool
		answered      time.Duration // another node, after the start
		reachable     bool
		next          time.Duration // at most
	}
	for _, test := range []struct {
		name   string
		listed bool
		steps  []step
	}{
		{"new", false, []step{{false, true, 0, false, time.Minute}, {true, true, 0, true, every}}},
		{"never", false, []step{{false, true, 0, false, time.Minute}, {false, true, 0, false, 2 * time.Minute}, {false, true, 0, false, 4 * time.Minute}, {false, true, 0, false, 8 * time.Minute}, {false, true, 0, false, 16 * time.Minute}, {false, true, 0, false, 32 * time.Minute}, {false, true, 0, false, 64 * time.Minute}, {false, true, 0, false, 4 * every}, {false, true, 0, false, 4 * every}}},
		{"never by us", true, []step{{false, true, 0, true, time.Minute}, {false, true, 0, true, 2 * time.Minute}, {false, true, 0, true, 4 * time.Minute}, {false, true, 0, true, 8 * time.Minute}, {false, true, 0, true, 16 * time.Minute}, {false, true, 0, true, every}}},
		{"gone", true, []step{{false, true, 1, true, time.Minute}, {false, true, 1, true, 2 * time.Minute}, {false, true, 1, false, 4 * time.Minute}, {true, true, 0, true, every}}},
		{"hiccup", true, []step{{false, true, 1, true, time.Minute}, {false, true, 1, true, 2 * time.Minute}, {true, true, 1, true, every}, {false, true, 1, true, time.Minute}}},
		{"our own network", true, []step{{false, true, 0, true, time.Minute}, {false, true, 0, true, 2 * time.Minute}, {false, true, 0, true, 4 * time.Minute}, {false, true, 1, false, 8 * time.Minute}}},
		{"no way to it", true, []step{{false, false, 1, true, every}, {false, false, 1, true, every}, {false, false, 1, true, every}, {false, false, 1, true, every}}},
	} {
		var r record
		r.see([32]byte{}, test.listed, now)
		if !r.next.Equal(now) {
			t.Errorf("%s: it is probed first at %s", test.name, r.next)
		}
		for i, s := range test.steps {
			r.probed(now, s.reached, s.told, now.Add(s.answered), every)
			if wait := r.next.Sub(now); r.reachable != s.reachable || wait > s.next || wait < s.next*7/8 {
				t.Errorf("%s: after step %d reachable %v, next after %s; want %+v", test.name, i, r.reachable, wait, s)
			}
		}
	}
}

// A new descriptor is probed soon, but no more often than a minute.
func TestRecordChanged(t *testing.T) {
	now := time.Now()
	var r record
	r.see([32]byte{1}, false, now)
	r.probed(now, true, true, now, time.Hour)
	r.see([32]byte{1}, true, now.Add(time.Second))
	if wait := r.next.Sub(now); wait < 50*time.Minute {
		t.Errorf("the same descriptor: probed after %s", wait)
	}
	r.see([32]byte{2}, true, now.Add(time.Second))
	if wait := r.next.Sub(now); wait != time.Minute {
		t.Errorf("another descriptor: probed after %s", wait)
	}
}

// The best of the last measurements counts, for some time.
func TestCapacity(t *testing.T) {
	now := time.Now()
	var r record
	for i, rate := range []uint64{900, 100, 300, 200, 100} {
		r.add(measured{now.Add(time.Duration(i) * time.Hour), rate})
	}
	if got := r.capacity(now); got != 900 {
		t.Errorf("%d, want 900", got)
	}
	r.add(measured{now.Add(5 * time.Hour), 250}) // the first is too many
	if got := r.capacity(now); got != 300 {
		t.Errorf("%d, want 300", got)
	}
	if got := r.capacity(now.Add(2*time.Hour + rateFor)); got != 250 {
		t.Errorf("%d, want 250", got)
	}
	if got := r.capacity(now.Add(6*time.Hour + rateFor)); got != 0 {
		t.Errorf("%d, want none", got)
	}
}

// What was found is there after a restart.
func TestStore(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	slow, bad := netmap.NodeID{1}, netmap.NodeID{2}
	for i := range 10 {
		s, err := NewScanner(t.Context(), ScannerConfig{Prober: New(Config{}), State: dir})
		if err != nil {
			t.Fatal(err)
		}
		reachable, _, capacity := s.Opinion(slow)
		if want := uint64(max(0, i*100)); reachable || capacity != want {
			t.Errorf("restart %d: %d, want %d", i, capacity, want)
		}
		if _, isBad, _ := s.Opinion(bad); isBad != (i > 0) {
			t.Errorf("restart %d: bad: %v", i, isBad)
		}
		if err := s.store.putMeasured(t.Context(), slow, now, uint64(100*(i+1))); err != nil {
			t.Fatal(err)
		}
		if err := s.store.putBad(t.Context(), bad, now.Add(time.Hour), "it was seen"); err != nil {
			t.Fatal(err)
		}
		if got := len(s.records[slow].list()); got > keepRates {
			t.Errorf("restart %d: %d measurements", i, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func (r *record) list() []measured {
	if r == nil {
		return nil
	}
	return r.rates
}

// Of many nodes that are due, those that wait longest come first, and none twice.
func TestDue(t *testing.T) {
	now := time.Now()
	s, err := NewScanner(t.Context(), ScannerConfig{Prober: New(Config{})})
	if err != nil {
		t.Fatal(err)
	}
	var list []netmap.Node
	for i := range byte(5) {
		list = append(list, netmap.Node{Descriptor: &netmap.Descriptor{ID: netmap.NodeID{i + 1}}})
	}
	s.due(list[3:], nil, now.Add(-time.Hour), 0) // the last two wait for an hour
	first := s.due(list, nil, now, 2)
	if len(first) != 2 || first[0].ID[0] < 4 || first[1].ID[0] < 4 {
		t.Errorf("%v", first)
	}
	if rest := s.due(list, nil, now, 10); len(rest) != 3 || rest[0].ID[0] > 3 {
		t.Errorf("%d more, want 3", len(rest))
	}
	for _, n := range list {
		s.records[n.ID].probing = false
	}
	if s.due(nil, nil, now, 10); len(s.records) != 0 {
		t.Errorf("%d nodes that are gone are remembered", len(s.records))
	}
}

// Measurements end with the budget, and go on in the next period. The oldest comes
// first.
func TestBudget(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s, err := NewScanner(t.Context(), ScannerConfig{Prober: New(Config{}), Budget: 100e6, Period: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	a, b := &netmap.Descriptor{ID: netmap.NodeID{1}}, &netmap.Descriptor{ID: netmap.NodeID{2}}
	m, err := netmap.New("test", 1, now, now.Add(24*time.Hour), []netmap.Node{{Descriptor: a}, {Descriptor: b}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := s.next(m, now); ok {
		t.Error("a node is measured of which nothing is known")
	}
	for i, id := range []netmap.NodeID{a.ID, b.ID} {
		r := s.recordLocked(id)
		r.reachable = true
		r.add(measured{now.Add(-time.Duration(i+1) * time.Hour), 1000})
	}
	n, most, ok := s.next(m, now)
	if !ok || n.ID != b.ID || most != 100e6 {
		t.Errorf("%v %d, want the second", ok, most)
	}
	s.spent = 99.5e6
	if _, _, ok = s.next(m, now.Add(time.Minute)); ok {
		t.Error("there is nothing left of the budget")
	}
	if n, most, ok = s.next(m, now.Add(time.Hour)); !ok || n.ID != b.ID || most != 100e6 {
		t.Errorf("%v %d, want the second in the next period", ok, most)
	}
	s.records[b.ID].nextMeasured = now.Add(3 * time.Hour)
	if n, _, ok = s.next(m, now.Add(2*time.Hour)); !ok || n.ID != a.ID {
		t.Errorf("%v, want the first, as the second was just measured", ok)
	}
	if _, _, ok = s.next(m, now.Add(25*time.Hour)); ok {
		t.Error("the map is not valid any more")
	}
}
