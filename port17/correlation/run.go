package correlation

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"safing/port17/shape"
)

// Config says how much is simulated.
type Config struct {
	// Flows is how many users there are. Each is compared with all others.
	Flows int
	// Window is how long they are watched.
	Window time.Duration
	// Seed makes results that can be had again.
	Seed uint64
}

// A Result is what one defence is worth.
type Result struct {
	Defence
	// Outside is found by who watches the links to the entry and from the exit,
	// and Colluding by entry and exit together.
	Outside, Colluding Found
	// What the defence adds to the time until an answer begins and ends, for
	// the median of objects and for one in a hundred.
	First, FirstP99, Whole, WholeP99 time.Duration
	// Bandwidth is how many cells pass between client and entry for one that is
	// no padding.
	Bandwidth float64
}

// Found is how many of the flows an attacker finds, from 0 to 1, when one in
// hundred or in a thousand of the others is taken for the right one.
type Found struct {
	Binned, BinnedRarely float64 // by correlation in bins
	Likely, LikelyRarely float64 // by likelihood
	Phase, PhaseRarely   float64 // by the phase of a constant rate
}

// Defences are those whose results are in docs/traffic-analysis.md.
func Defences() []Defence {
	ms := time.Millisecond
	constant := func(rate int) shape.Shape { return shape.Shape{Kind: shape.Constant, Rate: rate} }
	light, heavy := shape.Shape{Kind: shape.Light, Rate: 32}, shape.Shape{Kind: shape.Heavy, Rate: 64}
	var all []Defence
	add := func(hops int, delay time.Duration, s shape.Shape) {
		name := fmt.Sprintf("%d nodes", hops)
		if delay > 0 {
			name += fmt.Sprintf(", delay %s", delay)
		}
		if s != (shape.Shape{}) {
			name += ", " + s.String()
		}
		all = append(all, Defence{Name: name, Hops: hops, Delay: delay, Shape: s})
	}
	add(3, 0, shape.Shape{})
	add(5, 0, shape.Shape{})
	for _, delay := range []time.Duration{10 * ms, 50 * ms, 200 * ms, 1000 * ms} {
		add(5, delay, shape.Shape{})
	}
	for _, s := range []shape.Shape{light, heavy, constant(16), constant(32), constant(64)} {
		add(5, 0, s)
	}
	add(5, 50*ms, light)
	add(5, 50*ms, heavy)
	add(5, 200*ms, heavy)
	add(5, 50*ms, constant(32))
	add(5, 50*ms, constant(64))
	add(5, 200*ms, constant(64))
	return all
}

// Run simulates a defence and attacks it.
func Run(ctx context.Context, c Config, d Defence) (Result, error) {
	if c.Flows < 2 || c.Window <= 0 || d.Hops < 2 {
		return Result{}, fmt.Errorf("simulate %d flows of %d nodes for %s: want two of each at least, and some time", c.Flows, d.Hops, c.Window)
	}
	flows := make([]*flow, c.Flows)
	if err := parallel(ctx, c.Flows, func(i int) { flows[i] = run(d, c.Seed+uint64(i)<<32, c.Window) }); err != nil {
		return Result{}, err
	}
	r := Result{Defence: d}
	var first, whole []time.Duration
	real, all := 0, 0
	outside, inside := make([]view, c.Flows), make([]view, c.Flows)
	for i, f := range flows {
		outside[i], inside[i] = f.outside, f.inside
		real, all = real+f.real, all+f.all
		for i := range f.whole {
			if f.whole[i] > 0 { // else the window ended before it was there
				first, whole = append(first, f.first[i]), append(whole, f.whole[i])
			}
		}
	}
	r.First, r.FirstP99 = quantile(first, 0.5), quantile(first, 0.99)
	r.Whole, r.WholeP99 = quantile(whole, 0.5), quantile(whole, 0.99)
	r.Bandwidth = float64(all) / float64(max(real, 1))
	var err error
	if r.Outside, err = attack(ctx, c, d, outside, d.Hops, d.Hops); err != nil {
		return Result{}, err
	}
	// Between entry and exit themselves there is a link less, and their own
	// delays are none to them.
	r.Colluding, err = attack(ctx, c, d, inside, d.Hops-1, d.Hops-2)
	return r, err
}

// attack finds flows whose cells pass so many links and delays between the two
// ends.
func attack(ctx context.Context, c Config, d Defence, views []view, links, delays int) (f Found, err error) {
	base := time.Duration(links) * (latency + jitter)
	mean := base + time.Duration(delays)*d.Delay
	for _, width := range binWidths {
		often, rarely, err := rates(ctx, len(views), correlated(views, width, c.Window, mean))
		if err != nil {
			return f, err
		}
		f.Binned, f.BinnedRarely = max(f.Binned, often), max(f.BinnedRarely, rarely)
	}
	for _, weight := range weights {
		often, rarely, err := rates(ctx, len(views), likely(views, c.Window, base, d.Delay, delays, weight))
		if err != nil {
			return f, err
		}
		f.Likely, f.LikelyRarely = max(f.Likely, often), max(f.LikelyRarely, rarely)
	}
	if d.Shape.Kind == shape.Constant {
		f.Phase, f.PhaseRarely, err = rates(ctx, len(views), inPhase(views, time.Second/time.Duration(d.Shape.Rate), base))
	}
	return f, err
}

// rates scores all pairs, and returns the rates of true positives when one in a
// hundred and one in a thousand of the wrong pairs score better than the
// threshold.
func rates(ctx context.Context, n int, score scorer) (often, rarely float64, err error) {
	right, wrong := make([]float64, n), make([]float64, n*(n-1))
	err = parallel(ctx, n, func(i int) {
		others := wrong[i*(n-1) : (i+1)*(n-1)]
		for j := range n {
			switch s := score(i, j); {
			case i == j:
				right[i] = s
			case j < i:
				others[j] = s
			default:
				others[j-1] = s
			}
		}
	})
	slices.Sort(wrong)
	above := func(rate float64) float64 {
		threshold := wrong[min(len(wrong)-1, int(float64(len(wrong))*(1-rate)))]
		found := 0
		for _, s := range right {
			if s > threshold {
				found++
			}
		}
		return float64(found) / float64(n)
	}
	return above(0.01), above(0.001), err
}

// parallel calls f for 0 to n-1 on all cores, until the context ends.
func parallel(ctx context.Context, n int, f func(i int)) error {
	next := make(chan int)
	var running sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		running.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	defer running.Wait()
	defer close(next)
	for i := range n {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case next <- i:
		}
	}
	return nil
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.SortFunc(d, cmp.Compare)
	return d[min(len(d)-1, int(float64(len(d))*q))]
}

// Table writes results as a Markdown table.
func Table(w io.Writer, all []Result) error {
	var b strings.Builder
	b.WriteString("| defence | watching: bins | likelihood | phase | colluding: bins | likelihood | phase | first byte + | whole object + | bandwidth |\n")
	b.WriteString("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, r := range all {
		fmt.Fprintf(&b, "| %s | %s | %s | %.2f / %.2f s | %.2f / %.2f s | %.1f |\n", r.Name, r.Outside.cells(r.Shape), r.Colluding.cells(r.Shape),
			r.First.Seconds(), r.FirstP99.Seconds(), r.Whole.Seconds(), r.WholeP99.Seconds(), r.Bandwidth)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cells returns three of a table.
func (f Found) cells(s shape.Shape) string {
	percents := func(often, rarely float64) string { return fmt.Sprintf("%.0f / %.0f", 100*often, 100*rarely) }
	phase := "–"
	if s.Kind == shape.Constant {
		phase = percents(f.Phase, f.PhaseRarely)
	}
	return percents(f.Binned, f.BinnedRarely) + " | " + percents(f.Likely, f.LikelyRarely) + " | " + phase
}
