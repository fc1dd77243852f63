package shape

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bounds of histograms.
const (
	maxBins   = 8
	maxTokens = 1000 // of one bin
	leastBin  = time.Millisecond
	mostBin   = time.Minute
)

// A Machine is the histograms of adaptive padding. Its text is, for example,
//
//	burst=20ms*5,500ms*40,never*30 gap=5ms*10,20ms*20,never*5
//
// where 500ms*40 are 40 tokens for times from the bin before to 500 ms.
type Machine struct {
	// Burst is how long to wait behind a cell until padding begins.
	Burst Histogram
	// Gap is how long to wait behind padding until more of it follows.
	Gap Histogram
}

// A Histogram is a distribution of times.
type Histogram struct {
	Bins  [maxBins]Bin // those in use first, and rising
	Never int          // tokens for that nothing follows
}

// A Bin is tokens for times up to its end, from the end of the one before.
type Bin struct {
	Below  time.Duration
	Tokens int
}

// The presets. Light lets a burst end with a few cells of padding every other
// time. Heavy begins bursts of padding in almost all gaps, some twenty cells
// long.
var (
	light = Machine{
		Burst: Histogram{Bins: [maxBins]Bin{{20 * time.Millisecond, 5}, {100 * time.Millisecond, 20}, {500 * time.Millisecond, 20}, {2 * time.Second, 10}}, Never: 45},
		Gap:   Histogram{Bins: [maxBins]Bin{{5 * time.Millisecond, 20}, {20 * time.Millisecond, 20}, {50 * time.Millisecond, 10}}, Never: 10},
	}
	heavy = Machine{
		Burst: Histogram{Bins: [maxBins]Bin{{20 * time.Millisecond, 10}, {100 * time.Millisecond, 30}, {500 * time.Millisecond, 40}, {2 * time.Second, 20}}, Never: 2},
		Gap:   Histogram{Bins: [maxBins]Bin{{5 * time.Millisecond, 40}, {20 * time.Millisecond, 40}, {50 * time.Millisecond, 20}}, Never: 5},
	}
)

// ParseMachine reads a machine's text.
func ParseMachine(text string) (Machine, error) {
	var m Machine
	seen := map[string]bool{}
	for _, part := range strings.Fields(text) {
		name, bins, _ := strings.Cut(part, "=")
		var to *Histogram
		switch {
		case seen[name]:
			return Machine{}, fmt.Errorf("machine %q: it has %s twice", text, name)
		case name == "burst":
			to = &m.Burst
		case name == "gap":
			to = &m.Gap
		default:
			return Machine{}, fmt.Errorf("machine %q: it has %q, want burst=… gap=…", text, name)
		}
		seen[name] = true
		var err error
		if *to, err = parseHistogram(bins); err != nil {
			return Machine{}, fmt.Errorf("machine %q: %s: %w", text, name, err)
		}
	}
	return m, m.validate()
}

func parseHistogram(text string) (h Histogram, err error) {
	n := 0
	for part := range strings.SplitSeq(text, ",") {
		end, count, _ := strings.Cut(part, "*")
		tokens, err := strconv.ParseUint(count, 10, 16)
		if err != nil {
			return h, fmt.Errorf(`%q is not written like "20ms*5"`, part)
		}
		if end == "never" {
			if h.Never != 0 {
				return h, errors.New("it has never twice")
			}
			h.Never = int(tokens)
			continue
		}
		below, err := time.ParseDuration(end)
		if err != nil {
			return h, fmt.Errorf(`%q is not written like "20ms*5"`, part)
		}
		if n == maxBins {
			return h, fmt.Errorf("it has more than %d bins", maxBins)
		}
		h.Bins[n] = Bin{Below: below, Tokens: int(tokens)}
		n++
	}
	return h, nil
}

func (m Machine) validate() error {
	if err := m.Burst.validate(); err != nil {
		return fmt.Errorf("machine: burst: %w", err)
	}
	if err := m.Gap.validate(); err != nil {
		return fmt.Errorf("machine: gap: %w", err)
	}
	return nil
}

// validate checks the bounds: with one bin at least, rising ends, and tokens in
// each.
func (h Histogram) validate() error {
	last := time.Duration(0)
	used := true
	for i, b := range h.Bins {
		if b == (Bin{}) {
			if i == 0 {
				return errors.New("it has no times")
			}
			used = false
			continue
		}
		switch {
		case !used:
			return errors.New("a bin lies behind an empty one")
		case b.Below < leastBin || b.Below > mostBin || b.Below <= last:
			return fmt.Errorf("times must rise, from %s to %s", leastBin, mostBin)
		case b.Tokens < 1 || b.Tokens > maxTokens:
			return fmt.Errorf("%d tokens in a bin, want 1 to %d", b.Tokens, maxTokens)
		}
		last = b.Below
	}
	if h.Never < 0 || h.Never > maxTokens {
		return fmt.Errorf("%d tokens for never, want 0 to %d", h.Never, maxTokens)
	}
	return nil
}

// String returns the text that ParseMachine reads.
func (m Machine) String() string {
	return "burst=" + m.Burst.String() + " gap=" + m.Gap.String()
}

func (h Histogram) String() string {
	var parts []string
	for _, b := range h.Bins {
		if b.Tokens > 0 {
			parts = append(parts, fmt.Sprintf("%s*%d", b.Below, b.Tokens))
		}
	}
	if h.Never > 0 {
		parts = append(parts, fmt.Sprintf("never*%d", h.Never))
	}
	return strings.Join(parts, ",")
}
