package client

import (
	"net/netip"
	"time"

	"safing/port17/circuit"
	"safing/port17/circuit/stream"
)

const (
	// mostTimed is how much may be sent at first for the answer to be measured:
	// more may need another round trip.
	mostTimed = 3 << 10
	// slowReplies is how much longer than the map says nodes may take for the
	// handshakes that build a circuit.
	slowReplies = 20 * time.Millisecond
)

// An asking is a connection whose answer is awaited.
type asking struct {
	need  need
	begun time.Time
	// timed says that the time of the answer tells how far the destination is from
	// the exit. The first data has to go along with the target, and the target
	// without delay: with what builds the circuit, or through one that is built.
	timed bool
}

// askLocked says what a connection's answer will tell, which is about to open a
// stream with early data. The caller holds s.mu.
func (s *shared) askLocked(n need, early []byte) asking {
	ready := s.circuit == nil && !s.guarded
	if s.circuit != nil {
		ready = s.circuit.RTT() > 0
	}
	return asking{
		need: n, begun: time.Now(),
		timed: ready && s.cover == (circuit.Dialer{}) && len(early) > 0 && len(early) <= mostTimed,
	}
}

// await learns from the answer to a connection. No lock is held.
func (s *shared) await(to *stream.Stream, c *circuit.Circuit, a asking) {
	g, t := a.need.group, a.need.target
	to.OnAnswer(func(network netip.Prefix, at time.Time) {
		memory, exit := &s.client.memory, s.exit().ID
		if t.Host != "" && network.IsValid() {
			l := s.client.config.Geo.Locate(network.Addr())
			memory.add(g, t.Host, namePlace{place: placeOf(l.Country, l.ASN, network.Addr()), exit: exit, at: time.Now()})
		}
		if a.timed {
			memory.measured(g, s.client.where(g, t, a.need.country), exit, s.beyond(at.Sub(a.begun), c.RTT()))
		}
	})
}

// beyond returns the round trip from the exit to the destination, of which the
// first bytes came back after such a time. The exit has shaken hands, and then
// passed on what was sent: two round trips. With them is measured what the exit
// needed to look a name up and the destination for its answer, which a user
// waits for just as well.
//
// That the exit says when it has connected is not used: it could say so too soon,
// or too late. What it has to send from the destination, it can't send before it
// has that. But it could let the handshake wait that the circuit's round trip is
// taken from, so that this seems to be most of the time. So no more is taken for
// that than twice what the map says.
func (s *shared) beyond(all, rtt time.Duration) time.Duration {
	return (all - min(rtt, 2*s.expected+slowReplies)) / 2
}
