package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A key names a series of readings.
type key struct{ part, path, measure, unit string }

// results are all readings: for each series one list of values for each round.
type results struct {
	paths   []string // in the order in which they came
	rounds  map[key][][]float64
	foreign map[string][]float64 // by part: cores that other work used
}

// record keeps readings and writes them to the file.
func (b *bench) record(part string, round int, path string, foreign float64, all []reading) error {
	r := &b.results
	if r.rounds == nil {
		r.rounds, r.foreign = map[key][][]float64{}, map[string][]float64{}
	}
	if !slices.Contains(r.paths, path) {
		r.paths = append(r.paths, path)
	}
	r.foreign[part] = append(r.foreign[part], foreign)
	for _, v := range all {
		k := key{part, path, v.Measure, v.Unit}
		r.rounds[k] = append(r.rounds[k], v.Values)
		line := struct {
			Part    string  `json:"part"`
			Round   int     `json:"round"`
			Path    string  `json:"path"`
			Foreign float64 `json:"cores_of_other_work"`
			reading
		}{part, round + 1, path, foreign, v}
		if err := b.raw.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// A summary makes one figure of values.
type summary func([]float64) float64

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	switch {
	case n == 0:
		return 0
	case n%2 == 0:
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[n/2]
}

// p99 is the least value that 99 of 100 values do not exceed.
func p99(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[(len(v)*99+99)/100-1]
}

// A column of a table is a measure in a unit.
type column struct{ measure, unit string }

// table prints the contestants' figures: the median of the rounds, lowest and
// highest in brackets.
func (b *bench) table(title, part string, s summary, columns ...column) error {
	var t strings.Builder
	fmt.Fprintf(&t, "\n### %s\n\n|", title)
	for _, c := range columns {
		fmt.Fprintf(&t, " | %s", c.measure)
	}
	fmt.Fprintf(&t, " |\n|---|%s\n", strings.Repeat("--:|", len(columns)))
	for _, path := range b.paths() {
		var cells strings.Builder
		some := false
		for _, c := range columns {
			v := b.figures(key{part, path, c.measure, c.unit}, s)
			cells.WriteString(" | ")
			if len(v) > 0 {
				some = true
				fmt.Fprintf(&cells, "%s (%s–%s)", short(median(v)), short(slices.Min(v)), short(slices.Max(v)))
			}
		}
		if some {
			fmt.Fprintf(&t, "| %s%s |\n", path, cells.String())
		}
	}
	_, err := fmt.Fprint(b.out, t.String())
	return err
}

// paths are the contestants in the order of the tables.
func (b *bench) paths() []string {
	order := []string{nameDirect, nameForward, nameCells, nameTor, nameTuned, namePort17}
	return slices.SortedStableFunc(slices.Values(b.results.paths), func(x, y string) int {
		return cmp.Compare(slices.Index(order, x), slices.Index(order, y))
	})
}

// figures summarizes each round of a series.
func (b *bench) figures(k key, s summary) (v []float64) {
	for _, values := range b.results.rounds[k] {
		v = append(v, s(values))
	}
	return v
}

// ratio is the median of one contestant's figures over another's, taken within
// rounds; false if there are none.
func (b *bench) ratio(part string, c column, s summary, path, over string) (float64, bool) {
	x, y := b.figures(key{part, path, c.measure, c.unit}, s), b.figures(key{part, over, c.measure, c.unit}, s)
	var r []float64
	for i := range min(len(x), len(y)) {
		if y[i] > 0 {
			r = append(r, x[i]/y[i])
		}
	}
	return median(r), len(r) > 0
}

func (b *bench) printForeign(part string) error {
	v := b.results.foreign[part]
	if len(v) == 0 {
		return errors.New("nothing was measured")
	}
	_, err := fmt.Fprintf(b.out, "\nCores that other work used during a measurement: median %s, highest %s.\n", short(median(v)), short(slices.Max(v)))
	return err
}

// short writes three digits.
func short(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
