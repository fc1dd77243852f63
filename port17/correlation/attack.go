package correlation

import (
	"math"
	"math/cmplx"
	"time"
)

// binWidths are in what the attacker counts cells; the best one counts.
var binWidths = []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 5 * time.Second}

// weights are how the attacker takes the number of cells into account; the best
// one counts.
var weights = []float64{0, 0.5, 1}

// A scorer says how well a flow at one end fits one at the other: the more, the
// better. It is made for all flows, so that it can prepare them.
type scorer func(entry, exit int) float64

// bins counts cells in bins.
func bins(t trace, width, window, shift time.Duration) []float64 {
	b := make([]float64, int(window/width)+1)
	for _, at := range t {
		if i := int((at + shift) / width); i < len(b) {
			b[i]++
		}
	}
	return b
}

// correlated scores by Pearson's correlation of the counts in bins, the mean of
// both directions. One end is shifted by the mean delay in between.
func correlated(views []view, width, window, delay time.Duration) scorer {
	n := len(views)
	entryOut, entryIn := make([][]float64, n), make([][]float64, n)
	exitOut, exitIn := make([][]float64, n), make([][]float64, n)
	for i, v := range views {
		entryOut[i] = standard(bins(v.entryOut, width, window, delay))
		exitOut[i] = standard(bins(v.exitOut, width, window, 0))
		exitIn[i] = standard(bins(v.exitIn, width, window, delay))
		entryIn[i] = standard(bins(v.entryIn, width, window, 0))
	}
	return func(entry, exit int) float64 {
		return dot(entryOut[entry], exitOut[exit]) + dot(entryIn[entry], exitIn[exit])
	}
}

// standard takes the mean off, and scales to length 1.
func standard(b []float64) []float64 {
	mean := 0.0
	for _, v := range b {
		mean += v
	}
	mean /= float64(len(b))
	length := 0.0
	for i := range b {
		b[i] -= mean
		length += b[i] * b[i]
	}
	if length == 0 {
		return b
	}
	for i := range b {
		b[i] /= math.Sqrt(length)
	}
	return b
}

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// likelihoodBin is the width in which likelihoods are taken.
const likelihoodBin = 100 * time.Millisecond

// likely scores by how much likelier the cells are that leave, if they are those
// that have come and each was delayed as the defence delays, than if they were
// spread evenly. What is more than has come is padding, and spread evenly.
func likely(views []view, window, base, mean time.Duration, hops int, weight float64) scorer {
	kernel := erlang(hops, mean, likelihoodBin)
	n := len(views)
	entryOut, entryIn := make([][]float64, n), make([][]float64, n)
	exitOut, exitIn := make([][]float64, n), make([][]float64, n)
	for i, v := range views {
		entryOut[i] = convolve(bins(v.entryOut, likelihoodBin, window, base), kernel)
		exitOut[i] = bins(v.exitOut, likelihoodBin, window, 0)
		exitIn[i] = convolve(bins(v.exitIn, likelihoodBin, window, base), kernel)
		entryIn[i] = bins(v.entryIn, likelihoodBin, window, 0)
	}
	return func(entry, exit int) float64 {
		return likelihood(entryOut[entry], exitOut[exit], weight) + likelihood(exitIn[exit], entryIn[entry], weight)
	}
}

// likelihood is the logarithm of the ratio, for Poisson counts. With a weight it
// is divided by that power of the number of cells, so that flows with many don't
// look more alike than others.
func likelihood(came, left []float64, weight float64) (sum float64) {
	in, out := total(came), total(left)
	if in == 0 || out == 0 {
		return 0
	}
	even := out / float64(len(left))
	share := min(1, out/in)
	// Something may always come from elsewhere.
	floor := max(out-share*in, 0.05*out) / float64(len(left))
	scale := (out - floor*float64(len(left))) / in
	for i, n := range left {
		expected := floor + scale*came[i]
		if n > 0 {
			sum += n * math.Log(expected/even)
		}
		sum -= expected - even
	}
	return sum / math.Pow(out, weight)
}

func total(b []float64) (sum float64) {
	for _, v := range b {
		sum += v
	}
	return sum
}

// erlang is the distribution of the sum of so many exponential delays, in bins.
func erlang(hops int, mean, width time.Duration) []float64 {
	if mean == 0 || hops == 0 {
		return []float64{1}
	}
	step := width.Seconds() / mean.Seconds()
	var kernel []float64
	last := 0.0
	for i := 1; last < 0.999; i++ {
		at, term, sum := float64(i)*step, 1.0, 0.0
		for k := range hops {
			if k > 0 {
				term *= at / float64(k)
			}
			sum += term
		}
		now := 1 - math.Exp(-at)*sum
		kernel = append(kernel, now-last)
		last = now
	}
	return kernel
}

func convolve(b, kernel []float64) []float64 {
	out := make([]float64, len(b))
	for i, v := range b {
		if v == 0 {
			continue
		}
		for k, w := range kernel {
			if i+k < len(out) {
				out[i+k] += v * w
			}
		}
	}
	return out
}

// inPhase scores by how well the times at which cells leave the exit fit the
// intervals at the end of which those at the entry leave: a cell that is not
// delayed keeps the phase of its circuit.
func inPhase(views []view, interval, base time.Duration) scorer {
	n := len(views)
	entry, exit := make([]complex128, n), make([]complex128, n)
	for i, v := range views {
		entry[i], exit[i] = phase(v.entryOut, interval, base), phase(v.exitOut, interval, 0)
	}
	return func(i, j int) float64 { return real(entry[i] * cmplx.Conj(exit[j])) }
}

// phase is the sum of the times as points on a circle, by the root of their
// number.
func phase(t trace, interval, shift time.Duration) (sum complex128) {
	if len(t) == 0 {
		return 0
	}
	for _, at := range t {
		sum += cmplx.Rect(1, 2*math.Pi*float64((at+shift)%interval)/float64(interval))
	}
	return sum / complex(math.Sqrt(float64(len(t))), 0)
}
