package wan

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// QueueTime is how long a packet may wait for its turn on a link that has a
// rate. One that would wait longer is dropped, and none overtakes another.
const QueueTime = 100 * time.Millisecond

// A Link says what each packet meets in one direction.
type Link struct {
	Delay time.Duration // one way, besides the time in the queue
	Loss  Share         // of the packets that are lost
	Rate  Rate          // 0: unlimited
}

// Plain says whether a link does nothing to packets.
func (l Link) Plain() bool { return l == Link{} }

// whole says whether segments of up to 64 KiB may pass as one packet, which
// costs little: they may when nothing is done to single packets.
func (l Link) whole() bool { return l.Loss == 0 && l.Rate == 0 }

// Validate returns an error if the link has a negative part or loses more than
// there is.
func (l Link) Validate() error {
	if l.Delay < 0 || l.Rate < 0 || l.Loss < 0 || l.Loss > 1 {
		return errors.New("a link's delay and rate are not negative, and its loss is 0% to 100%")
	}
	return nil
}

// A Rate is in bits per second.
type Rate int64

// UnmarshalText reads a number with bit, kbit, mbit or gbit behind it, such as
// 100mbit.
func (r *Rate) UnmarshalText(text []byte) error {
	number, ok := strings.CutSuffix(string(text), "bit")
	if !ok {
		return fmt.Errorf("%q is no rate: write it like 100mbit", text)
	}
	unit := 1.0
	for suffix, u := range map[string]float64{"k": 1e3, "m": 1e6, "g": 1e9} {
		if n, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = n, u
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v*unit >= 1 && v*unit <= 1e12) {
		return fmt.Errorf("%q is no rate from 1bit to 1000gbit: write it like 100mbit", text)
	}
	*r = Rate(v * unit)
	return nil
}

// time is how long a packet of so many bytes takes.
func (r Rate) time(size int) time.Duration {
	return time.Duration(float64(size) * 8 / float64(r) * float64(time.Second))
}

// A Share is a part of a whole, from 0 to 1.
type Share float64

// UnmarshalText reads a percentage, such as 0.1%.
func (s *Share) UnmarshalText(text []byte) error {
	number, ok := strings.CutSuffix(string(text), "%")
	v, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || math.IsNaN(v) || v < 0 || v > 100 {
		return fmt.Errorf("%q is no share from 0%% to 100%%: write it like 0.1%%", text)
	}
	*s = Share(v / 100)
	return nil
}
