package shape

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Shape{
		"":            {},
		"none":        {},
		"constant":    {Kind: Constant, Rate: constantRate},
		"constant:50": {Kind: Constant, Rate: 50},
		"light":       {Kind: Light, Rate: lightRate},
		"heavy:100":   {Kind: Heavy, Rate: 100},
		"own:7;burst=20ms*5,never*2 gap=1s*1": {Kind: Own, Rate: 7, Machine: Machine{
			Burst: Histogram{Bins: [maxBins]Bin{{20 * time.Millisecond, 5}}, Never: 2},
			Gap:   Histogram{Bins: [maxBins]Bin{{time.Second, 1}}},
		}},
	} {
		got, err := Parse(text)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if again, err := Parse(got.String()); err != nil || again != got {
			t.Errorf("%q again as %q: %v, %v", text, got, again, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const gap = " gap=5ms*1"
	for text, want := range map[string]string{
		"square":                              "use none, constant:RATE, light or heavy",
		"none:1":                              "leave the rate out",
		"constant:0":                          "want 1 to 1000",
		"constant:1001":                       "want 1 to 1000",
		"constant:-1":                         "no number from 1 to 1000",
		"constant:1;burst=5ms*1" + gap:        "only to that",
		"own:5":                               "belongs to",
		"own:5;burst=5ms*1":                   "gap: it has no times",
		"own:5;" + gap:                        "burst: it has no times",
		"own:5;burst=never*5" + gap:           "it has no times",
		"own:5;burst=5ms*1 burst=5ms*1" + gap: "twice",
		"own:5;burst=never*1,never*1" + gap:   "never twice",
		"own:5;pause=5ms*1" + gap:             "want burst=… gap=…",
		"own:5;burst=5*1" + gap:               `not written like "20ms*5"`,
		"own:5;burst=5ms" + gap:               `not written like "20ms*5"`,
		"own:5;burst=5ms*0" + gap:             "want 1 to 1000",
		"own:5;burst=5ms*1001" + gap:          "want 1 to 1000",
		"own:5;burst=5ms*1,never*1001" + gap:  "want 0 to 1000",
		"own:5;burst=5ms*1,5ms*1" + gap:       "times must rise",
		"own:5;burst=1us*1" + gap:             "times must rise",
		"own:5;burst=2m*1" + gap:              "times must rise",
		"own:5;burst=1ms*1,2ms*1,3ms*1,4ms*1,5ms*1,6ms*1,7ms*1,8ms*1,9ms*1" + gap: "more than 8 bins",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if (Shape{Kind: 9, Rate: 1}).Validate() == nil || (Shape{Kind: Light, Rate: 1, Machine: light}).Validate() == nil {
		t.Error("an unknown kind, or a preset with another machine, is valid")
	}
}

func TestPresets(t *testing.T) {
	for _, m := range []Machine{light, heavy} {
		if err := m.validate(); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "none", "constant:50", "heavy", "own:7;burst=20ms*5,never*2 gap=1s*1", "own:7;burst=never*1 gap=,"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		if err := s.Validate(); err != nil {
			t.Errorf("%q is read and not valid: %v", text, err)
		}
		if again, err := Parse(s.String()); err != nil || again != s {
			t.Errorf("%q became %q and %q, %v", text, s, again, err)
		}
		// Whatever a machine says, its padding is bounded.
		g := NewGate(0, s, begin, nil)
		g.Add(begin, 1)
		n := 0
		run(g, begin, begin.Add(100*time.Millisecond), func(_ time.Time, _, padding int) { n += padding })
		if n > s.Rate/10+2 {
			t.Errorf("%q: %d of padding in 100 ms", text, n)
		}
	})
}
