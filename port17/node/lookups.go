package node

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
)

// Lookups says what became of the names that an exit has looked up.
type Lookups struct {
	Found    uint64
	NotFound uint64
	TimedOut uint64
	Failed   uint64
}

// lookups count what became of names that were looked up.
type lookups struct{ found, missing, late, failed atomic.Uint64 }

func (l *lookups) count(err error) {
	var dns *net.DNSError
	switch {
	case err == nil:
		l.found.Add(1)
	case errors.As(err, &dns) && dns.IsNotFound:
		l.missing.Add(1)
	case errors.As(err, &dns) && dns.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		l.late.Add(1)
	default:
		l.failed.Add(1)
	}
}

func (l *lookups) all() Lookups {
	return Lookups{Found: l.found.Load(), NotFound: l.missing.Load(), TimedOut: l.late.Load(), Failed: l.failed.Load()}
}
