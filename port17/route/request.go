package route

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"safing/netmap"
	"safing/tinker"
)

// A Level says how tough a route has to be. Longer routes are slower.
type Level int

// Levels. The zero value is Normal.
const (
	Normal  Level = iota // 3 nodes
	High                 // 4 nodes
	Extreme              // 5 nodes
)

// Nodes returns how many nodes a route of the level has.
func (l Level) Nodes() int { return 3 + int(l) }

// String returns the level's name.
func (l Level) String() string {
	switch l {
	case Normal:
		return "normal"
	case High:
		return "high"
	case Extreme:
		return "extreme"
	}
	return fmt.Sprintf("level %d", int(l))
}

// ParseLevel reads a level's name. The empty text is Normal.
func ParseLevel(text string) (Level, error) {
	if text == "" {
		return Normal, nil
	}
	for l := Normal; l <= Extreme; l++ {
		if l.String() == text {
			return l, nil
		}
	}
	return 0, fmt.Errorf("unknown level %q: use normal, high or extreme", text)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Level) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLevel(string(text))
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// A Request says what a route is for. Only the destination's port is needed.
type Request struct {
	// Destination is where the exit connects to. Its address is not valid when
	// only a name is known: then any exit that allows the port will do.
	Destination netip.AddrPort
	// Country and ASN are where the destination is, if that is known.
	Country string
	ASN     uint32
	Level   Level
	Requirements
	// Exclude are nodes that are not to be used at the moment.
	Exclude map[netmap.NodeID]bool
	// Entries are the only entries allowed, unless empty: a client that keeps
	// to a few shows itself to few.
	Entries []netmap.NodeID
	// EntryRTT is what the client has measured, and ExitRTT what exits have, to
	// the destination or near to it. That counts instead of estimates. Where
	// Country is not known, exits that were not measured are taken to be as far as
	// from one continent to the next.
	EntryRTT map[netmap.NodeID]time.Duration
	ExitRTT  map[netmap.NodeID]time.Duration
	// WithoutKeys lets nodes be on the route whose keys are not known. No circuit
	// can be built over them, until they are.
	WithoutKeys bool
	// Suites are those of which hellos may be made; empty for all.
	Suites []tinker.SuiteID
	// Now is when the route is to be used; now if zero. Rand is where chance
	// comes from; that of the program if nil. Both are for simulations.
	Now  time.Time
	Rand *rand.Rand
}

// A Route is the nodes of a circuit, entry first and exit last.
type Route struct {
	Nodes []netmap.Node
	// Crossed is what the links between them cross, one fewer than nodes.
	Crossed []*netmap.Crossed
	// Cost is the estimated time until the first byte comes back, without what
	// the destination needs for it, and a price on networks that see the route
	// more than once.
	Cost  time.Duration
	Parts Parts
}
