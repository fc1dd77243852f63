package backoff

import (
	"math/rand/v2"
	"time"
)

// A Backoff counts failures in a row.
type Backoff struct {
	// Least and Most bound the time, before chance takes up to half of it away.
	Least, Most time.Duration

	last time.Duration
}

// Next returns how long to wait after one more failure.
func (b *Backoff) Next() time.Duration {
	b.last = min(max(2*b.last, b.Least), b.Most)
	return b.last - rand.N(b.last/2+1)
}

// Reset forgets the failures, after a success.
func (b *Backoff) Reset() { b.last = 0 }
