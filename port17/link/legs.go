package link

import (
	"maps"
	"slices"
	"sync"

	"safing/port17/cell"
)

// Legs by number. Numbers are never used again on the same link, so a cell
// that arrives late can't be taken for another circuit's.
type legs struct {
	mu    sync.Mutex
	byID  map[uint32]*Leg
	own   uint32 // the last number, without cell.ByResponder, that this side used
	other uint32 // and the other side
}

const maxNumber = cell.ByResponder - 1

func (s *legs) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byID)
}

func (s *legs) find(id uint32) *Leg {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

// used says whether the number belongs to a circuit that exists or existed.
func (s *legs) used(id uint32, own bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	number := id &^ cell.ByResponder
	if own {
		return number <= s.own
	}
	return number <= s.other
}

func (s *legs) addOwn(g *Leg, initiator bool, limit int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byID) >= limit || s.own >= maxNumber {
		return ErrTooManyLegs
	}
	s.own++
	g.id = s.own
	if !initiator {
		g.id |= cell.ByResponder
	}
	s.byID[g.id] = g
	return nil
}

// addOther enters a leg with a number that the other side chose, which is
// thereby used; it says whether there was room.
func (s *legs) addOther(g *Leg, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.other = g.id &^ cell.ByResponder
	if len(s.byID) >= limit {
		return false
	}
	s.byID[g.id] = g
	return true
}

func (s *legs) remove(g *Leg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, g.id)
}

// list returns all legs.
func (s *legs) list() []*Leg {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.byID))
}

// all empties the table.
func (s *legs) all() []*Leg {
	s.mu.Lock()
	defer s.mu.Unlock()
	gs := slices.Collect(maps.Values(s.byID))
	clear(s.byID)
	return gs
}
