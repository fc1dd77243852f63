package client

import (
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"safing/netmap"
	"safing/port17/route"
)

// As Tor's proposal 271 does
// (https://spec.torproject.org/guard-spec/), a client draws few nodes, keeps
// them in the order in which it drew them, and connects to the first that
// answer. Whoever keeps it from its entries gets it to draw few more, and it
// goes back to the first ones as soon as they answer again.
const (
	wantEntries = 2
	freeEntries = 4 // are drawn as soon as they are needed,
	maxEntries  = 8 // further ones only after drawPause
	drawPause   = time.Hour

	leastLife   = 90 * 24 * time.Hour // after which an entry is drawn anew
	moreLife    = 30 * 24 * time.Hour // at random, so that not all change at once
	unlistedFor = 20 * 24 * time.Hour // off the map, until an entry is forgotten
	maxUnlisted = 16
)

// A sample is the nodes that a client enters the network by.
type sample struct {
	path string
	ways []netmap.Wrapping // in which the client reaches nodes
	log  *slog.Logger

	mu    sync.Mutex
	drawn []drawn // the first are preferred
}

// A drawn is one entry as the file has it.
type drawn struct {
	ID       netmap.NodeID `json:"id"`
	Added    time.Time     `json:"added"`
	Until    time.Time     `json:"until"`
	Unlisted time.Time     `json:"unlisted,omitzero"` // since when it is not on the map
}

func newSample(path string, ways []netmap.Wrapping, log *slog.Logger) *sample {
	s := &sample{path: path, ways: ways, log: log}
	b, err := os.ReadFile(path)
	if err != nil {
		return s // the first start
	}
	if err := json.Unmarshal(b, &s.drawn); err != nil || len(s.drawn) > maxEntries+maxUnlisted {
		log.Warn("the remembered entries can't be read and are drawn anew", "error", err)
		s.drawn = nil
	}
	return s
}

// update notes which entries are on the map, and forgets those whose time is
// over.
func (s *sample) update(m *netmap.Map) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := slices.Clone(s.drawn)
	now := time.Now()
	unlisted := 0
	for i, d := range s.drawn {
		if n, ok := m.Node(d.ID); ok && n.Offers(s.ways...) {
			s.drawn[i].Unlisted = time.Time{}
			continue
		}
		unlisted++
		if d.Unlisted.IsZero() {
			s.drawn[i].Unlisted = now
		}
	}
	s.drawn = slices.DeleteFunc(s.drawn, func(d drawn) bool {
		gone := !d.Unlisted.IsZero()
		if now.After(d.Until) || gone && (unlisted > maxUnlisted || now.Sub(d.Unlisted) > unlistedFor) {
			if gone {
				unlisted--
			}
			return true
		}
		return false
	})
	if !slices.Equal(before, s.drawn) {
		s.saveLocked()
	}
}

// entries returns the first entries, most at most, that are on the map and not
// excluded. If there are none, or fewer than most and most is more than it wants
// for itself, it draws one if it may. If all have failed, it takes them out of
// excluded: trying them again is all that is left.
func (s *sample) entries(f *route.Finder, excluded map[netmap.NodeID]bool, most int) []netmap.NodeID {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.listedLocked()) < wantEntries && s.drawLocked(f) {
	}
	usable := s.usableLocked(excluded, most)
	if (len(usable) == 0 || len(usable) < most && most > wantEntries) && s.drawLocked(f) {
		usable = s.usableLocked(excluded, most)
	}
	if len(usable) == 0 {
		usable = s.listedLocked()
		for _, id := range usable {
			delete(excluded, id)
		}
	}
	return usable
}

// chosen returns what entries would return, without drawing.
func (s *sample) chosen(excluded map[netmap.NodeID]bool) []netmap.NodeID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usableLocked(excluded, wantEntries)
}

func (s *sample) listedLocked() (ids []netmap.NodeID) {
	for _, d := range s.drawn {
		if d.Unlisted.IsZero() {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

func (s *sample) usableLocked(excluded map[netmap.NodeID]bool, most int) []netmap.NodeID {
	usable := slices.DeleteFunc(s.listedLocked(), func(id netmap.NodeID) bool { return excluded[id] })
	return usable[:min(most, len(usable))]
}

// drawLocked adds an entry, if it may and there is one.
func (s *sample) drawLocked(f *route.Finder) bool {
	listed := s.listedLocked()
	now := time.Now()
	if len(listed) >= maxEntries {
		return false
	}
	if len(listed) >= freeEntries && slices.ContainsFunc(s.drawn, func(d drawn) bool { return now.Sub(d.Added) < drawPause }) {
		return false
	}
	id, ok := f.DrawEntry(listed, s.ways...)
	if !ok {
		return false
	}
	s.drawn = slices.DeleteFunc(s.drawn, func(d drawn) bool { return d.ID == id }) // a map that is newer than the last update has it again
	s.drawn = append(s.drawn, drawn{ID: id, Added: now, Until: now.Add(leastLife + rand.N(moreLife))})
	s.saveLocked()
	return true
}

// saveLocked replaces the file as a whole: half of one would be no entries.
func (s *sample) saveLocked() {
	if err := s.write(); err != nil {
		s.log.Warn("the entries could not be remembered", "error", err)
	}
}

func (s *sample) write() error {
	b, err := json.Marshal(s.drawn)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	temp := s.path + ".new"
	if err := os.WriteFile(temp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, s.path)
}
