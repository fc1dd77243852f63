package geo

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// A Place is a point on the earth, in degrees north and east. Anything in it
// that is no point, such as NaN, gives distances that are no number either.
type Place struct{ Lat, Lon float64 }

// earthRadius is the mean radius of the earth in km (IUGG, R1).
const earthRadius = 6371.0

// Distance is the length of the great circle to another place, in km. The
// earth is taken as a ball, which is wrong by up to 0.6 %.
func (p Place) Distance(o Place) float64 {
	sinLat := math.Sin(radians(o.Lat-p.Lat) / 2)
	sinLon := math.Sin(radians(o.Lon-p.Lon) / 2)
	h := sinLat*sinLat + math.Cos(radians(p.Lat))*math.Cos(radians(o.Lat))*sinLon*sinLon
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}

func radians(degrees float64) float64 { return degrees * math.Pi / 180 }

const (
	fibreSpeed = 200.0 // km per ms: light in glass, two thirds of that in vacuum

	// inflation says how much longer than along a great circle packets are on
	// their way. Katz-Bassett et al. (Towards IP Geolocation Using Delay and
	// Topology Measurements, IMC 2006) measure 4/9 of the speed of light, which
	// is 1.5; Bozkurt et al. (Dissecting Latency in the Internet's Fiber
	// Infrastructure, 2018) name 2.1 as the rule of thumb for end users and 1.3
	// for the shortest way through the fibre that lies. Nodes stand in data
	// centres: well, but not best connected.
	inflation = 1.6

	// baseRTT is what remains without any distance: the ways within a city, and
	// routers.
	baseRTT = 2 * time.Millisecond
)

// RTT estimates the round trip between two places over the Internet: 2 ms at
// least, about 0.32 s to the other side of the earth. It is a guess for where
// nothing was measured: where cables go another way, it is half of the truth.
func RTT(a, b Place) time.Duration {
	ms := 2 * a.Distance(b) / fibreSpeed * inflation
	return baseRTT + time.Duration(ms*float64(time.Millisecond))
}

// CountryPlace is the place that stands for a country, named by its ISO 3166-1
// alpha-2 code in capitals: its main city, or the middle between several of
// them where one would be far from most people.
func CountryPlace(code string) (Place, bool) {
	i, ok := findCountry(code)
	if !ok {
		return Place{}, false
	}
	return countries[i].place, true
}

// CountryName is the English name of a country, or the code itself when there
// is none.
func CountryName(code string) string {
	i, ok := findCountry(code)
	if !ok {
		return code
	}
	return countries[i].name
}

// Countries returns all codes that CountryPlace knows, sorted.
func Countries() []string {
	codes := make([]string, len(countries))
	for i, c := range countries {
		codes[i] = c.code
	}
	return codes
}

func findCountry(code string) (int, bool) {
	return slices.BinarySearchFunc(countries, code, func(c country, code string) int { return cmp.Compare(c.code, code) })
}
