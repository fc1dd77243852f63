package witness

import (
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// An authority asks once a period, and once more if another was faster.
const (
	perSecond  = 5
	burst      = 50
	maxSources = 4096
)

// sources bounds how often anybody may ask, by the network that they are in:
// each question costs the check of some signatures, and perhaps a write.
type sources struct {
	mu    sync.Mutex
	limit map[netip.Prefix]*rate.Limiter
}

func newSources() *sources { return &sources{limit: make(map[netip.Prefix]*rate.Limiter)} }

// allow says whether a request from the address, as net/http has it, may be
// answered.
func (s *sources) allow(remote string) bool {
	var from netip.Prefix // of all whose address cannot be read
	if a, err := netip.ParseAddrPort(remote); err == nil {
		addr, bits := a.Addr().Unmap().WithZone(""), 24
		if addr.Is6() {
			bits = 48
		}
		from = netip.PrefixFrom(addr, bits).Masked()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.limit[from]
	if l == nil {
		if len(s.limit) >= maxSources {
			clear(s.limit) // who was slowed down gets another burst
		}
		l = rate.NewLimiter(perSecond, burst)
		s.limit[from] = l
	}
	return l.Allow()
}
