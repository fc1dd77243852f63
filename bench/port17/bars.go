package main

import (
	"fmt"
	"strings"
)

// A bar is what Port17 is to reach.
type bar struct {
	what    string
	limit   float64
	atLeast bool // else at most
	value   func(*bench) (float64, bool)
}

func (r bar) holds(v float64) bool {
	if r.atLeast {
		return v >= r.limit
	}
	return v <= r.limit
}

// over is Port17's share of another's figure.
func over(part, path, measure, unit string, s summary) func(*bench) (float64, bool) {
	return func(b *bench) (float64, bool) {
		return b.ratio(part, column{measure, unit}, s, namePort17, path)
	}
}

func memoryAt(path string, level int) func(*bench) (float64, bool) {
	return func(b *bench) (float64, bool) {
		v := b.figures(key{"memory", path, largestRelay, atLevel(level)}, median)
		return median(v), len(v) > 0
	}
}

func bars() []bar {
	const sixth = 1.0 / 6
	return []bar{
		{"1 stream, times Tor", 25, true, over("loop", nameTor, oneStream, "MB/s", median)},
		{"1 stream, times tuned Tor", 5, true, over("loop", nameTuned, oneStream, "MB/s", median)},
		{"8 streams on 8 circuits, times Tor", 8, true, over("loop", nameTor, eightApart, "MB/s", median)},
		{"8 streams on 8 circuits, times tuned Tor", 6, true, over("loop", nameTuned, eightApart, "MB/s", median)},
		{"CPU per GB, 1 stream, share of Tor's", sixth, false, over("loop", nameTor, oneStream, "CPU-s/GB", median)},
		{"CPU per GB, 8 streams on 8 circuits, share of Tor's", sixth, false, over("loop", nameTor, eightApart, "CPU-s/GB", median)},
		{"10 kB beside bulk, own circuit, p99, share of Tor's", 0.2, false, over("loop", nameTor, smallApart, "ms", p99)},
		{"10 kB beside bulk, same circuit, p99, share of Tor's", 0.2, false, over("loop", nameTor, smallBeside, "ms", p99)},
		{"1 stream, share of onion cells on plain TCP", 0.7, true, over("loop", nameCells, oneStream, "MB/s", median)},
		{"8 streams, share of onion cells on plain TCP", 0.7, true, over("loop", nameCells, eightStreams, "MB/s", median)},
		{"delayed links: 1 stream, times Tor", 20, true, over("delayed", nameTor, oneStream, "MB/s", median)},
		{"delayed links: first byte with a circuit built for it, round trips of one link", 5.3, false, func(b *bench) (float64, bool) {
			v := b.figures(key{"delayed", namePort17, freshByte, "ms"}, b.roundTrips)
			return median(v), len(v) > 0
		}},
		{"new circuits, CPU ms at a relay", 1, false, func(b *bench) (float64, bool) {
			v := b.figures(key{"loop", namePort17, newCircuits, perRelay}, median)
			return median(v), len(v) > 0
		}},
		{"10,000 idle streams at one exit: largest relay, MB", 150, false, memoryAt(namePort17, manyStreams)},
	}
}

// printBars says which bars hold, of those that were measured.
func (b *bench) printBars() error {
	var t strings.Builder
	t.WriteString("\n### Bars\n\n| | bar | measured | holds |\n|---|--:|--:|---|\n")
	for _, r := range bars() {
		v, ok := r.value(b)
		if !ok {
			continue
		}
		sign, verdict := "≤", "no"
		if r.atLeast {
			sign = "≥"
		}
		if r.holds(v) {
			verdict = "yes"
		}
		fmt.Fprintf(&t, "| %s | %s %s | %s | %s |\n", r.what, sign, short(r.limit), short(v), verdict)
	}
	_, err := fmt.Fprint(b.out, t.String())
	return err
}
