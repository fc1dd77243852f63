package sim

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"safing/port17/route"
)

// Every report has tables and charts that can be read.
func TestReports(t *testing.T) {
	o := Options{Nodes: 60, Tunnels: 600, Levels: []route.Level{route.Normal}, Seed: 1}
	last := ""
	o.Progress = func(what string, done float64) {
		if last = what; done < 0 || done > 1 {
			t.Errorf("%s: %v done", what, done)
		}
	}
	all, err := Run(t.Context(), o, "latency", "load")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "new")
	for _, r := range all {
		if err := r.Write(dir); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(r.Markdown(), "Port17, normal") || !strings.Contains(r.Markdown(), "Tor's selection") {
			t.Errorf("table of %s:\n%s", r.Name, r.Markdown())
		}
		for _, table := range r.Tables {
			for _, row := range table.Rows {
				if len(row) != len(table.Header) {
					t.Errorf("%s: a row of %d in a table of %d columns", r.Name, len(row), len(table.Header))
				}
			}
		}
		b, err := os.ReadFile(filepath.Join(dir, r.Name+".json"))
		if err != nil || !json.Valid(b) {
			t.Errorf("%s.json: %v", r.Name, err)
		}
		for _, c := range r.Charts {
			if c.Description == "" {
				t.Errorf("chart %s has no description", c.Name)
			}
			readSVG(t, filepath.Join(dir, c.Name+".svg"))
		}
	}
	if last == "" {
		t.Error("no progress was told")
	}
}

func readSVG(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for d := xml.NewDecoder(f); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if s, ok := token.(xml.StartElement); ok {
			for _, a := range s.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Fatalf("%s: %s=%q", path, a.Name.Local, a.Value)
				}
			}
		}
	}
}

func TestUnknownReport(t *testing.T) {
	if _, err := Run(t.Context(), Options{Nodes: 60, Tunnels: 1}, "luck"); err == nil || !strings.Contains(err.Error(), "latency") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Options{Nodes: 60, Tunnels: 10_000}, "latency"); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
}

// Requests are the same whatever chooses, and Tor's choices for a seed too.
func TestRunsAreTheSame(t *testing.T) {
	w := testWorld(t, 100)
	a, err := w.run(t.Context(), NewTor(w), 2000, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.run(t.Context(), NewTor(w), 2000, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := w.Map()
	if err != nil {
		t.Fatal(err)
	}
	p := newPort17(w, m, route.Normal)
	c, err := w.run(t.Context(), p, 2000, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range a.all {
		if a.all[i] != b.all[i] {
			t.Fatal("Tor chose differently")
		}
		if a.all[i].client != c.all[i].client || a.all[i].destination != c.all[i].destination {
			t.Fatal("the requests differ")
		}
	}
}

func TestSpreads(t *testing.T) {
	s := spread([]float64{5, 1, 4, 2, 3})
	if s.Median != 3 || s.P99 != 5 || s.Mean != 3 || len(s.Curve) != 101 || s.Curve[0] != 1 {
		t.Errorf("%+v", s)
	}
	if g := gini([]float64{1, 1, 1, 1}); math.Abs(g) > 1e-9 {
		t.Errorf("equals have a Gini coefficient of %v", g)
	}
	if g := gini([]float64{0, 0, 0, 1}); math.Abs(g-0.75) > 1e-9 {
		t.Errorf("Gini coefficient %v, want 0.75", g)
	}
	curve, g := lorenz([]nodeLoad{{0.5, 0}, {0.5, 1}})
	if math.Abs(g-0.5) > 1e-9 || math.Abs(curve[75]-0.5) > 1e-9 || len(curve) != 101 {
		t.Errorf("Gini coefficient %v, curve %v", g, curve)
	}
}

func TestFirstBytes(t *testing.T) {
	legs := []time.Duration{10, 20, 30}
	for name, test := range map[string]struct {
		b            builder
		ready, fresh time.Duration
	}{
		"first flight": {firstFlight, 68, 68},
		"held":         {held, 68, 128},
		"telescope":    {telescope, 68, 168},
	} {
		if ready, fresh := test.b(legs, 4); ready != test.ready || fresh != test.fresh {
			t.Errorf("%s: %d and %d, want %d and %d", name, ready, fresh, test.ready, test.fresh)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, test := range []struct {
		axis Axis
		want []float64
	}{
		{Axis{}.fit([]float64{3, 800}), []float64{0, 100, 200, 300, 400, 500, 600, 700, 800}},
		{Axis{Log: true}.fit([]float64{3, 800}), []float64{1, 10, 100, 1000}},
		{Axis{Max: 1}.fit(nil), []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
	} {
		got := test.axis.ticks()
		if len(got) != len(test.want) {
			t.Fatalf("ticks %v, want %v", got, test.want)
		}
		for i := range got {
			if math.Abs(got[i]-test.want[i]) > 1e-6 {
				t.Errorf("ticks %v, want %v", got, test.want)
			}
		}
	}
}

// One who knows a node in two is one of half of the crowd after one tunnel.
func TestCandidates(t *testing.T) {
	w := testWorld(t, 100)
	one := &Tunnels{w: w, all: []tunnel{{count: 3, nodes: [maxHops]int16{1, 2, 3}}, {count: 3, nodes: [maxHops]int16{1, 2, 4}}}}
	left := w.candidates(one, 0.5, 7)
	if len(left) != 3 || left[0] != viewCrowd || math.Abs(left[1]-viewCrowd/2) > 5000 || math.Abs(left[2]-viewCrowd/4) > 5000 {
		t.Errorf("%v are left", left)
	}
}

func BenchmarkTunnels(b *testing.B) {
	w := testWorld(b, 1000)
	m, err := w.Map()
	if err != nil {
		b.Fatal(err)
	}
	p := newPort17(w, m, route.Normal)
	if err := w.enter(b.Context(), p, 1); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := p.choose(nil, i%len(w.Clients), i%len(w.Destinations)); err != nil {
			b.Fatal(err)
		}
	}
}
