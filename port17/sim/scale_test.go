package sim

import (
	"context"
	"testing"

	"safing/port17/route"
)

// What a map costs is in the order in which it must be.
func TestScale(t *testing.T) {
	s := &simulation{Options: Options{Nodes: 100, Seed: 1, Progress: func(string, float64) {}}}
	r, err := s.scaleReport(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := r.Results.([]Size)
	if len(all) != 1 || all[0].Nodes != 100 {
		t.Fatalf("%+v", all)
	}
	o := all[0]
	const key = 1216 // bytes of an X-Wing key
	if o.Delta <= 0 || o.Delta >= o.Compressed || o.Compressed >= o.Body || o.Keys < 100*2*key || o.Keys > 100*3*key {
		t.Errorf("bytes: %+v", o)
	}
	if o.Used > o.Keys || o.Used == 0 || o.Daily > o.DailyAll || o.DailyAll != 24*o.Delta+6*o.Keys {
		t.Errorf("bytes of a day: %+v", o)
	}
	if o.Links < 8 || o.Decode <= 0 || o.Check <= 0 || o.Further <= 0 {
		t.Errorf("%+v", o)
	}
}

// Who knows less has worse routes and is one of fewer.
func TestViews(t *testing.T) {
	w := testWorld(t, 200)
	s := &simulation{Options: Options{Nodes: 200, Seed: 1, Levels: []route.Level{route.Normal}}, w: w}
	m, err := w.Map()
	if err != nil {
		t.Fatal(err)
	}
	whole, _, err := s.view(context.Background(), w, m, 1)
	if err != nil {
		t.Fatal(err)
	}
	half, curve, err := s.view(context.Background(), w, m, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	if whole.Failed != 0 || whole.Left[0] != viewCrowd || half.Left[0] > viewCrowd*0.51 || half.Left[2] >= half.Left[0] || half.Shared != viewCrowd/2 {
		t.Errorf("whole %+v, half %+v", whole, half)
	}
	if half.RTT.Mean < whole.RTT.Mean*0.9 || len(curve) != viewSeenMost {
		t.Errorf("half of the nodes: %.0f ms instead of %.0f, curve of %d", half.RTT.Mean, whole.RTT.Mean, len(curve))
	}
}

// Nodes publish that they are busy, and clients go elsewhere.
func TestLoadSettles(t *testing.T) {
	w := testWorld(t, 200)
	m, err := w.Map()
	if err != nil {
		t.Fatal(err)
	}
	s := &simulation{Options: Options{Tunnels: 4000, Seed: 1, Progress: func(string, float64) {}}, w: w}
	rounds, err := s.settle(t.Context(), m, route.Normal)
	if err != nil {
		t.Fatal(err)
	}
	if first, last := rounds[0], rounds[len(rounds)-1]; len(rounds) != settleRounds || last.GiniByCapacity >= first.GiniByCapacity {
		t.Errorf("Gini coefficient %.2f at first and %.2f at last", first.GiniByCapacity, last.GiniByCapacity)
	}
}
