package correlation

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"safing/port17/shape"
)

var small = Config{Flows: 60, Window: 40 * time.Second, Seed: 7}

func result(t *testing.T, d Defence) Result {
	t.Helper()
	r, err := Run(t.Context(), small, d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func within(d, least, most time.Duration) bool { return d >= least && d <= most }

// What the document says, in small.
func TestDefences(t *testing.T) {
	none := result(t, Defence{Hops: 5})
	if none.Outside.Binned < 0.95 || none.Outside.Likely < 0.95 || none.Colluding.Binned < 0.95 || none.Colluding.Likely < 0.95 {
		t.Errorf("without a defence, of the flows these are found: %+v, %+v", none.Outside, none.Colluding)
	}
	if none.Bandwidth != 1 || none.FirstP99 > 50*time.Millisecond {
		t.Errorf("no defence costs %.1f in bandwidth and %s", none.Bandwidth, none.FirstP99)
	}
	if again := result(t, Defence{Hops: 5}); again != none {
		t.Errorf("the same again is %+v, was %+v", again, none)
	}

	constant := result(t, Defence{Hops: 5, Shape: shape.Shape{Kind: shape.Constant, Rate: 32}})
	if f := constant.Outside; f.Binned > 0.1 || f.Likely > 0.1 {
		t.Errorf("at a constant rate, %+v are found from outside", f)
	}
	if f := constant.Colluding; f.Binned > 0.1 || f.Likely > 0.1 {
		t.Errorf("at a constant rate, %+v are found by entry and exit", f)
	}
	if constant.Bandwidth < 5 {
		t.Errorf("a constant rate costs %.1f", constant.Bandwidth)
	}

	mixed := result(t, Defence{Hops: 5, Delay: time.Second})
	if mixed.Outside.BinnedRarely > 0.8*none.Outside.BinnedRarely || mixed.Bandwidth != 1 {
		t.Errorf("long delays leave %+v, for a bandwidth of %.1f", mixed.Outside, mixed.Bandwidth)
	}
	if !within(mixed.First, 6*time.Second, 10*time.Second) { // ten delays, but for those who wait behind others
		t.Errorf("ten delays of a second add %s to the first cell", mixed.First)
	}

	light := result(t, Defence{Hops: 5, Shape: shape.Shape{Kind: shape.Light, Rate: 32}})
	if light.Bandwidth < 1.2 || light.Bandwidth > 4 || light.FirstP99 > 50*time.Millisecond {
		t.Errorf("adaptive padding costs %.1f in bandwidth and %s", light.Bandwidth, light.FirstP99)
	}
}

// All that is asked for arrives, if there is time.
func TestFlow(t *testing.T) {
	for _, d := range []Defence{
		{Hops: 2},
		{Hops: 5, Delay: 20 * time.Millisecond},
		{Hops: 3, Delay: 20 * time.Millisecond, Shape: shape.Shape{Kind: shape.Constant, Rate: 100}},
		{Hops: 4, Shape: shape.Shape{Kind: shape.Heavy, Rate: 64}},
	} {
		f := run(d, 3, 40*time.Second)
		asked := 0
		for i, r := range f.requests {
			if r.at < 20*time.Second {
				if asked++; f.whole[i] == 0 {
					t.Errorf("%+v: object %d of %d cells did not arrive", d, i, r.cells)
				}
			}
		}
		if asked == 0 {
			t.Fatal("nothing was asked for")
		}
		if len(f.outside.exitOut) == 0 || len(f.outside.exitOut) > len(f.requests) {
			t.Errorf("%+v: %d requests left, of %d", d, len(f.outside.exitOut), len(f.requests))
		}
	}
}

func TestWorkload(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sum := 0
	for range 200 {
		last := time.Duration(0)
		for _, q := range requests(r, time.Minute) {
			if q.at < last || q.at >= time.Minute || q.cells < 1 || q.cells > 263 || q.think <= 0 {
				t.Fatalf("a request %+v behind one at %s", q, last)
			}
			last = q.at
			sum++
		}
	}
	if sum < 200*5 || sum > 200*60 {
		t.Errorf("%d requests of 200 users in a minute", sum)
	}
}

func TestErlang(t *testing.T) {
	for _, hops := range []int{1, 4, 5} {
		sum, mean := 0.0, 0.0
		for i, p := range erlang(hops, time.Second, 100*time.Millisecond) {
			sum, mean = sum+p, mean+p*(float64(i)+0.5)/10
		}
		if math.Abs(sum-1) > 0.01 || math.Abs(mean-float64(hops)) > 0.05 {
			t.Errorf("%d delays: a probability of %f, a mean of %f s", hops, sum, mean)
		}
	}
	if k := erlang(5, 0, time.Second); len(k) != 1 || k[0] != 1 {
		t.Errorf("no delays: %v", k)
	}
}

func TestRunErrors(t *testing.T) {
	for _, c := range []Config{{Flows: 1, Window: time.Second}, {Flows: 2}} {
		if _, err := Run(t.Context(), c, Defence{Hops: 3}); err == nil {
			t.Errorf("%+v is simulated", c)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, small, Defence{Hops: 3}); !errors.Is(err, context.Canceled) {
		t.Errorf("when cancelled: %v", err)
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	err := Table(&b, []Result{{Defence: Defence{Name: "x"}, Outside: Found{Binned: 0.123, BinnedRarely: 1}, First: 1234 * time.Millisecond, Bandwidth: 2}})
	if err != nil || !strings.Contains(b.String(), "| x | 12 / 100 | 0 / 0 | – |") || !strings.Contains(b.String(), "1.23 / 0.00 s") {
		t.Errorf("%s, %v", b.String(), err)
	}
	seen := map[string]bool{}
	for _, d := range Defences() {
		if seen[d.Name] || d.Shape.Validate() != nil || d.Hops < 3 {
			t.Errorf("defence %+v", d)
		}
		seen[d.Name] = true
	}
}

// Cells that leave the exit keep the phase in which they left the origin.
func TestInPhase(t *testing.T) {
	const interval, base = 20 * time.Millisecond, 15 * time.Millisecond
	views := make([]view, 4)
	for i := range views {
		for k := range 1000 {
			at := time.Duration(i)*interval/4 + time.Duration(k)*interval
			views[i].entryOut = append(views[i].entryOut, at)
			if k%37 == 0 {
				views[i].exitOut = append(views[i].exitOut, at+base)
			}
		}
	}
	score := inPhase(views, interval, base)
	for i := range views {
		for j := range views {
			if i != j && score(i, j) >= score(i, i)/10 {
				t.Errorf("flow %d and %d score %f, and %d alone %f", i, j, score(i, j), i, score(i, i))
			}
		}
	}
	if s := inPhase(make([]view, 2), interval, base)(0, 1); s != 0 {
		t.Errorf("flows without cells score %f", s)
	}
}
