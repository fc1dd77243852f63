package geo

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		name string
		a, b Place
		want float64 // km
	}{
		{"nowhere", Place{52.5, 13.4}, Place{52.5, 13.4}, 0},
		{"Berlin to Paris", Place{52.52, 13.405}, Place{48.857, 2.352}, 878},
		{"London to New York", Place{51.507, -0.128}, Place{40.713, -74.006}, 5570},
		{"across the date line", Place{0, 179}, Place{0, -179}, 222.4},
		{"pole to pole", Place{90, 0}, Place{-90, 77}, math.Pi * earthRadius},
	} {
		if got := test.a.Distance(test.b); math.Abs(got-test.want) > 1+test.want/500 {
			t.Errorf("%s: %.1f km, want %.1f", test.name, got, test.want)
		}
	}
}

func TestDistanceIsMetric(t *testing.T) {
	place := rapid.Custom(func(t *rapid.T) Place {
		return Place{rapid.Float64Range(-90, 90).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lon")}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := place.Draw(t, "a"), place.Draw(t, "b"), place.Draw(t, "c")
		ab, ba := a.Distance(b), b.Distance(a)
		if math.Abs(ab-ba) > 1e-3 || ab < 0 || ab > math.Pi*earthRadius+1e-3 {
			t.Fatalf("%v km there, %v km back", ab, ba)
		}
		if detour := a.Distance(c) + c.Distance(b); ab > detour+1e-3 {
			t.Fatalf("%v km straight, %v km by way of a third place", ab, detour)
		}
	})
}

// Typical round trips between data centres.
func TestRTT(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     time.Duration
		within   float64 // factor
	}{
		{"DE", "DE", 2 * time.Millisecond, 1},
		{"DE", "NL", 10 * time.Millisecond, 1.5},
		{"GB", "US", 105 * time.Millisecond, 1.4},
		{"GB", "SG", 165 * time.Millisecond, 1.4},
		{"JP", "US", 150 * time.Millisecond, 1.4},
		{"AU", "DE", 280 * time.Millisecond, 1.4},
	} {
		a, known := CountryPlace(test.from)
		b, also := CountryPlace(test.to)
		got := RTT(a, b)
		if off := float64(got) / float64(test.want); !known || !also || off > test.within || off < 1/test.within {
			t.Errorf("%s to %s: %v, want about %v", test.from, test.to, got, test.want)
		}
	}
}

func TestCountries(t *testing.T) {
	codes := Countries()
	if !slices.IsSorted(codes) || len(slices.Compact(slices.Clone(codes))) != len(codes) || len(codes) < 240 {
		t.Errorf("%d codes, which must be sorted and different: %v", len(codes), codes)
	}
	for _, c := range countries {
		if len(c.code) != 2 || c.name == "" || math.Abs(c.place.Lat) > 90 || math.Abs(c.place.Lon) > 180 {
			t.Errorf("%+v is no country", c)
		}
	}
	if _, ok := CountryPlace("ZZ"); ok {
		t.Error("ZZ has a place")
	}
	if got := CountryName("DE"); got != "Germany" {
		t.Errorf("DE is called %q", got)
	}
	if got := CountryName("ZZ"); got != "ZZ" {
		t.Errorf("ZZ is called %q", got)
	}
}
