package netmap

import (
	"slices"
	"time"
)

// A scale is the values that one byte stands for: code 0 is 0, and each other
// step is a part above the one below.
type scale [256]uint64

// rttScale is in nanoseconds: 200 µs to 4.2 s in steps of 4 %.
func rttScale() *scale { return newScale(uint64(200*time.Microsecond), 25) }

// rateScale is in bytes a second: 1 kB to 305 GB in steps of 8 %.
func rateScale() *scale { return newScale(1000, 12) }

func newScale(least, part uint64) *scale {
	s := new(scale)
	s[1] = least
	for i := 2; i < len(s); i++ {
		s[i] = s[i-1] + s[i-1]/part
	}
	return s
}

// code returns which step is nearest to the value. Only 0 has code 0.
func (s *scale) code(v uint64) byte {
	if v == 0 {
		return 0
	}
	at, _ := slices.BinarySearch(s[1:], v)
	at++
	switch {
	case at == len(s):
		return byte(len(s) - 1)
	case at > 1 && v-s[at-1] < s[at]-v:
		return byte(at - 1)
	}
	return byte(at)
}
