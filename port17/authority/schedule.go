package authority

import "time"

const (
	roundsInPeriod = 20          // a round is this part of a period
	leastRound     = time.Second // or this, where a short period has the time
)

// A schedule divides time into periods, which begin at multiples of their length
// since 1970, and their beginning into rounds:
//
//	T ── round 1 ── … ── round f+1 ── count and sign ──────── T + period
type schedule struct {
	period time.Duration
	round  time.Duration
	rounds int
}

func newSchedule(period time.Duration, rounds int) schedule {
	// Half of a short period is left for signatures and witnesses.
	room := period / time.Duration(2*(rounds+1))
	return schedule{period: period, rounds: rounds, round: max(period/roundsInPeriod, min(leastRound, room))}
}

// begin returns when the period began that t is in.
func (s schedule) begin(t time.Time) time.Time {
	return time.Unix(0, t.UnixNano()-t.UnixNano()%int64(s.period)).UTC()
}

// next returns when the period after that of t begins.
func (s schedule) next(t time.Time) time.Time { return s.begin(t).Add(s.period) }

// margin is how long before a period a descriptor has to be published to count
// in it: time enough to reach all authorities.
func (s schedule) margin() time.Duration { return s.round }

// roundAt returns in which round of the period t is, from 1 on; 0 if it is
// before the first, and more than rounds after the last.
func (s schedule) roundAt(period, t time.Time) int {
	since := t.Sub(period)
	if since < 0 {
		return 0
	}
	return 1 + int(min(since/s.round, time.Duration(s.rounds)))
}

// votesEnd returns when the last round of the period ends.
func (s schedule) votesEnd(period time.Time) time.Time {
	return period.Add(time.Duration(s.rounds) * s.round)
}
