package authority

import (
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 3, 12, 5, time.UTC)
	for _, test := range []struct {
		period time.Duration
		rounds int
		round  time.Duration
		begin  string
	}{
		{10 * time.Minute, 2, 30 * time.Second, "10:00:00"},
		{10 * time.Minute, 8, 30 * time.Second, "10:00:00"},
		{time.Minute, 2, 3 * time.Second, "10:03:00"},
		{10 * time.Second, 2, time.Second, "10:03:10"},
		{time.Second, 2, time.Second / 6, "10:03:12"},
		{time.Second, 8, time.Second / 18, "10:03:12"},
	} {
		s := newSchedule(test.period, test.rounds)
		if s.round != test.round || s.begin(at).Format(time.TimeOnly) != test.begin {
			t.Errorf("period %s, %d rounds: a round has %s, begins %s", test.period, test.rounds, s.round, s.begin(at))
		}
		begin := s.begin(at)
		if begin.After(at) || s.next(at) != begin.Add(s.period) || s.next(begin) != s.next(at) || !begin.Equal(s.begin(begin)) {
			t.Errorf("period %s: begins %s, the next %s", test.period, begin, s.next(at))
		}
		for offset, want := range map[time.Duration]int{
			-1: 0, 0: 1, s.round - 1: 1, s.round: 2,
			time.Duration(test.rounds)*s.round - 1: test.rounds,
			time.Duration(test.rounds) * s.round:   test.rounds + 1,
			s.period - 1:                           test.rounds + 1,
		} {
			if got := s.roundAt(begin, begin.Add(offset)); got != want {
				t.Errorf("period %s: %s after its begin is round %d, want %d", test.period, offset, got, want)
			}
		}
		if left := s.period - s.votesEnd(begin).Sub(begin); left < s.period/2 {
			t.Errorf("period %s: %s are left for signatures", test.period, left)
		}
	}
}
