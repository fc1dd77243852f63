package shape

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var begin = time.Unix(0, 0)

// run asks the gate whenever it wants to be asked, until the time is over.
func run(g *Gate, from, to time.Time, leave func(at time.Time, cells, padding int)) {
	for at := from; !at.After(to); {
		cells, padding := g.Take(at)
		if cells+padding > 0 {
			leave(at, cells, padding)
		}
		next := g.Next()
		if next.IsZero() {
			return
		}
		at = next
	}
}

// The delays have the mean that was asked for and, as cells that come alone
// don't meet, are exponential: their deviation is the mean, too.
func TestDelay(t *testing.T) {
	const mean, n = 100 * time.Millisecond, 20000
	g := NewGate(mean, Shape{}, begin, rand.NewPCG(1, 2))
	at := begin
	var sum, squares float64
	for range n {
		at = at.Add(time.Minute)
		g.Add(at, 1)
		run(g, at, at.Add(time.Minute), func(left time.Time, cells, padding int) {
			if cells != 1 || padding != 0 {
				t.Fatalf("%d cells and %d of padding left", cells, padding)
			}
			d := left.Sub(at).Seconds()
			sum, squares = sum+d, squares+d*d
		})
	}
	if got := sum / n; math.Abs(got-mean.Seconds()) > 0.03*mean.Seconds() {
		t.Errorf("mean of %f s, want %s", got, mean)
	}
	deviation := math.Sqrt(squares/n - sum/n*sum/n)
	if math.Abs(deviation-mean.Seconds()) > 0.05*mean.Seconds() {
		t.Errorf("deviation of %f s, want %s", deviation, mean)
	}
}

// Cells that come together leave one after the other, as those of a Poisson mix
// do: the mean of the delays stays what it is, and of n the last leaves after
// about the mean times ln n.
func TestDelayTogether(t *testing.T) {
	const mean, n, rounds = 100 * time.Millisecond, 50, 2000
	g := NewGate(mean, Shape{}, begin, rand.NewPCG(3, 4))
	at := begin
	var sum, last float64
	for range rounds {
		at = at.Add(time.Minute)
		g.Add(at, n/2)
		g.Add(at, n/2)
		left := 0
		run(g, at, at.Add(time.Minute), func(now time.Time, cells, _ int) {
			left += cells
			sum += now.Sub(at).Seconds() * float64(cells)
			if left == n {
				last += now.Sub(at).Seconds()
			}
		})
		if left != n || g.Waiting() != 0 {
			t.Fatalf("%d cells left and %d wait", left, g.Waiting())
		}
	}
	if got := sum / n / rounds; math.Abs(got-mean.Seconds()) > 0.03*mean.Seconds() {
		t.Errorf("mean of %f s, want %s", got, mean)
	}
	harmonic := 0.0
	for i := 1; i <= n; i++ {
		harmonic += 1 / float64(i)
	}
	if got, want := last/rounds, mean.Seconds()*harmonic; math.Abs(got-want) > 0.03*want {
		t.Errorf("the last left after %f s, want %f", got, want)
	}
}

// One cell leaves in each interval, whatever comes.
func TestConstant(t *testing.T) {
	for _, mean := range []time.Duration{0, 20 * time.Millisecond} {
		source := rand.New(rand.NewPCG(5, 6))
		g := NewGate(mean, Shape{Kind: Constant, Rate: 50}, begin, rand.NewPCG(7, 8))
		at, added, cells, all := begin, 0, 0, 0
		var last time.Time
		for range 1000 {
			n := source.IntN(4) * source.IntN(2)
			g.Add(at, n)
			added += n
			until := at.Add(100 * time.Millisecond)
			run(g, at, until, func(now time.Time, c, p int) {
				if c+p != 1 || !last.IsZero() && now.Sub(last) != 20*time.Millisecond {
					t.Fatalf("%d cells and %d of padding after %s", c, p, now.Sub(last))
				}
				last = now
				cells, all = cells+c, all+1
			})
			at = until
		}
		if all != 5000 || cells+g.Waiting() != added || g.Waiting() > 20 {
			t.Errorf("delay %s: %d left in 100 s, %d of them cells of %d", mean, all, cells, added)
		}
	}
}

// Who was asleep does not make up for all of that.
func TestLate(t *testing.T) {
	for _, s := range []Shape{{Kind: Constant, Rate: 50}, {Kind: Heavy, Rate: 50}} {
		g := NewGate(0, s, begin, rand.NewPCG(1, 1))
		g.Add(begin, 1)
		g.Take(begin)
		if _, padding := g.Take(begin.Add(time.Hour)); padding > catchUp+1 {
			t.Errorf("%s: %d of padding after an hour of sleep", s, padding)
		}
	}
}

// Adaptive padding leaves cells their times, keeps to its rate, and ends when
// nothing happens.
func TestAdaptive(t *testing.T) {
	for _, s := range []Shape{{Kind: Light, Rate: 32}, {Kind: Heavy, Rate: 64}} {
		g := NewGate(0, s, begin, rand.NewPCG(9, 1))
		at, padded := begin, 0
		var last time.Time
		for range 500 {
			at = at.Add(time.Second)
			g.Add(at, 5)
			first := true
			run(g, at, at.Add(999*time.Millisecond), func(now time.Time, cells, padding int) {
				if first && (cells != 5 || !now.Equal(at)) || !first && cells > 0 {
					t.Fatalf("%s: %d cells left %s after they came", s, cells, now.Sub(at))
				}
				if first = false; padding > 0 {
					if padding > 1 || now.Sub(last) < s.interval() {
						t.Fatalf("%s: %d of padding %s after the last", s, padding, now.Sub(last))
					}
					last = now
				}
				padded += padding
			})
		}
		if padded < 500 {
			t.Errorf("%s: %d of padding in 500 s", s, padded)
		}
		run(g, at, at.Add(24*time.Hour), func(time.Time, int, int) {})
		if !g.Next().IsZero() {
			t.Errorf("%s: it pads for a day", s)
		}
		g.Seen(at.Add(25 * time.Hour))
		if g.Next().IsZero() {
			t.Errorf("%s: a cell in the other direction begins no burst", s)
		}
	}
}

// The gaps come to follow the histogram: a machine that has one bin keeps the
// silence below it.
func TestHistogram(t *testing.T) {
	s, err := Parse("own:1000;burst=50ms*3 gap=50ms*3")
	if err != nil {
		t.Fatal(err)
	}
	g := NewGate(0, s, begin, rand.NewPCG(9, 1))
	g.Add(begin, 1)
	last, n := begin, 0
	run(g, begin, begin.Add(time.Minute), func(now time.Time, cells, padding int) {
		if now.Sub(last) > 50*time.Millisecond {
			t.Fatalf("silence of %s", now.Sub(last))
		}
		last = now
		n += padding
	})
	if n < 2000 || n > 2800 { // 25 ms on the average
		t.Errorf("%d of padding in a minute", n)
	}
}
