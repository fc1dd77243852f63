package probe

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"safing/netmap"
)

// ScannerConfig says how often a Scanner does what.
type ScannerConfig struct {
	Prober *Prober
	// State is the folder of the database with what was measured and which exits
	// are bad. "" keeps nothing.
	State string
	// Every is the time between two probes of a node that answers; 0 means 30
	// minutes.
	Every time.Duration
	// Budget is how many bytes all measurements move in each Period; 0 means 1
	// GB in 10 minutes. They pass this machine twice: out of the server, and in
	// by a circuit.
	Budget int64
	Period time.Duration
	// MeasureEvery is the least time between two measurements of a node; 0 means
	// an hour.
	MeasureEvery time.Duration
	// Look is the time between two looks at the list of nodes, for new ones; 0
	// means a second.
	Look time.Duration
	Log  *slog.Logger // nil discards
}

const (
	lookEvery     = time.Second // at the list of nodes, for new ones
	mostProbes    = 64          // at a time
	leastMeasured = 1_000_000   // bytes of the budget that have to be left for a measurement
	mostRecords   = 50_000      // of nodes that are gone, too
)

// A Scanner probes and measures all nodes of a network in turn, and remembers what
// it has found. It is what an authority's opinions come from.
type Scanner struct {
	config ScannerConfig
	store  *store // nil without a folder

	mu       sync.Mutex
	records  map[netmap.NodeID]*record
	answered time.Time // when a node has last been reached
	period   int64     // that spent is of
	spent    int64     // bytes
}

// NewScanner reads what was found before. Close ends it.
func NewScanner(ctx context.Context, c ScannerConfig) (*Scanner, error) {
	c.Every = cmp.Or(max(c.Every, 0), 30*time.Minute)
	c.Budget = cmp.Or(max(c.Budget, 0), 1_000_000_000)
	c.Period = cmp.Or(max(c.Period, 0), netmap.DefaultPeriod)
	c.MeasureEvery = cmp.Or(max(c.MeasureEvery, 0), time.Hour)
	c.Look = cmp.Or(max(c.Look, 0), lookEvery)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Scanner{config: c, records: make(map[netmap.NodeID]*record)}
	if c.State == "" {
		return s, nil
	}
	var err error
	if s.store, err = openStore(ctx, c.State); err != nil {
		return nil, err
	}
	if err = s.store.load(ctx, time.Now(), s.recordLocked); err != nil {
		return nil, errors.Join(err, s.store.close())
	}
	return s, nil
}

// Close closes the database. Run has to have ended.
func (s *Scanner) Close() error {
	if s.store == nil {
		return nil
	}
	return s.store.close()
}

// Opinion says what was found about a node: whether it can be reached, whether it
// is a bad exit, and how many bytes a second it can carry, 0 if that was not
// measured.
func (s *Scanner) Opinion(id netmap.NodeID) (reachable, badExit bool, capacity uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[id]
	if r == nil {
		return false, false, 0
	}
	now := time.Now()
	return r.reachable, now.Before(r.badUntil), r.capacity(now)
}

// Run probes and measures until the context ends. Nodes returns those that have
// published something, with their keys, and the newest map, or nil; that needs none. Changed is
// called when there is a new opinion of a node that should not wait. A node that is
// on the map when it is seen first counts as reachable until it was probed, so
// that a restart takes none off the map.
func (s *Scanner) Run(ctx context.Context, nodes func() ([]netmap.Node, *netmap.Map), changed func()) {
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, mostProbes)
	measuring, over := make(chan struct{}, 1), make(chan struct{}, 1)
	look := time.NewTicker(s.config.Look)
	defer look.Stop()
	for ctx.Err() == nil {
		list, m := nodes()
		m = withKeys(m, list)
		for _, n := range s.due(list, m, time.Now(), cap(slots)-len(slots)) {
			slots <- struct{}{} // there is room: nobody else puts any
			running.Go(func() {
				defer func() { <-slots }()
				s.probe(ctx, n, m, changed)
			})
		}
		if s.config.Prober.config.Server != nil && len(measuring) == 0 {
			if n, most, ok := s.next(m, time.Now()); ok {
				measuring <- struct{}{}
				running.Go(func() {
					done := s.measure(ctx, n, m, most, changed)
					<-measuring
					if done { // else the next may fail as fast: it waits
						select {
						case over <- struct{}{}:
						default:
						}
					}
				})
			}
		}
		select {
		case <-ctx.Done():
		case <-look.C:
		case <-over:
		}
	}
}

// withKeys returns the map with the keys of the nodes, as their circuits need them
// and maps come without.
func withKeys(m *netmap.Map, nodes []netmap.Node) *netmap.Map {
	if m == nil {
		return nil
	}
	with := *m
	with.Nodes = slices.Clone(m.Nodes)
	for _, n := range nodes {
		if i, ok := with.Index(n.ID); ok {
			with.Nodes[i].Keys = n.Keys
		}
	}
	return &with
}

// recordLocked returns the record of a node, a new one if there is none.
func (s *Scanner) recordLocked(id netmap.NodeID) *record {
	r := s.records[id]
	if r == nil {
		r = new(record)
		s.records[id] = r
	}
	return r
}

// due returns which nodes are to be probed now, as many as there is room for, and
// forgets those that are gone.
func (s *Scanner) due(list []netmap.Node, m *netmap.Map, now time.Time, room int) (due []netmap.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	there := make(map[netmap.NodeID]bool, len(list))
	for _, n := range list {
		there[n.ID] = true
		r := s.recordLocked(n.ID)
		r.see(binding(n), m != nil && listed(m, n.ID), now)
		if !r.probing && !now.Before(r.next) {
			due = append(due, n)
		}
	}
	// Who waits longest comes first, so that many that are silent delay nobody for
	// ever.
	slices.SortFunc(due, func(a, b netmap.Node) int { return s.records[a.ID].next.Compare(s.records[b.ID].next) })
	due = due[:min(len(due), room)]
	for _, n := range due {
		s.records[n.ID].probing = true
	}
	for id, r := range s.records {
		switch {
		case there[id]:
		case !r.probing && (!r.worthKeeping(now) || len(s.records) > mostRecords):
			delete(s.records, id)
		default:
			r.gone()
		}
	}
	return due
}

// binding returns that of the descriptor, without encoding it every second.
func binding(n netmap.Node) [32]byte {
	if n.Keys != nil {
		return n.Keys.Binding
	}
	return n.Binding()
}

func listed(m *netmap.Map, id netmap.NodeID) bool {
	_, ok := m.Index(id)
	return ok
}

func (s *Scanner) probe(ctx context.Context, n netmap.Node, m *netmap.Map, changed func()) {
	result, err := s.config.Prober.Probe(ctx, n, m)
	now := time.Now()
	log := s.config.Log.With("node", n.ID.Short())
	s.mu.Lock()
	r := s.recordLocked(n.ID)
	was, wasBad := r.reachable, now.Before(r.badUntil)
	r.probing = false
	if ctx.Err() != nil {
		s.mu.Unlock()
		return
	}
	reached := err == nil && result.Reachable()
	r.probed(now, reached, err == nil, s.answered, s.config.Every)
	if reached {
		s.answered = now
	}
	bad := result.Exit != nil && result.Exit.Bad != nil
	if bad {
		r.badUntil = now.Add(badFor)
	}
	is := r.reachable
	s.mu.Unlock()
	for _, w := range result.Ways {
		log.Debug("a way to a node", "way", w)
	}
	switch {
	case err != nil:
		log.Info("whether a node can be reached can't be told", "error", err)
	case was != is:
		log.Info("a node's reachability has changed", "reachable", is)
	}
	s.tellExit(ctx, log, n, result.Exit, now)
	if was != is || bad && !wasBad {
		changed()
	}
}

// tellExit logs what was found about an exit, and keeps it.
func (s *Scanner) tellExit(ctx context.Context, log *slog.Logger, n netmap.Node, e *Exit, now time.Time) {
	switch {
	case e == nil:
		return
	case e.Bad != nil:
		log.Warn("an exit is bad", "error", e.Bad)
		if s.store != nil {
			if err := s.store.putBad(ctx, n.ID, now.Add(badFor), e.Bad.Error()); err != nil {
				log.Error("that an exit is bad could not be kept", "error", err)
			}
		}
	case e.Err != nil:
		log.Info("an exit could not be tested", "error", e.Err)
	}
	if e.Opens {
		log.Info("an exit connects to where its policy does not lead")
	}
	if !e.Own(n) {
		log.Info("an exit connects from addresses that the node does not publish")
	}
}

// next returns the node on the map that has waited longest for a measurement, and
// how many bytes may be moved for it, if it is time for one.
func (s *Scanner) next(m *netmap.Map, now time.Time) (node netmap.Node, most int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if period := now.UnixNano() / int64(s.config.Period); period != s.period {
		s.period, s.spent = period, 0
	}
	most = s.config.Budget - s.spent
	if m == nil || now.After(m.ValidUntil) || most < min(leastMeasured, s.config.Budget) {
		return netmap.Node{}, 0, false
	}
	var oldest *record
	for _, n := range m.Nodes {
		r := s.records[n.ID]
		if r == nil || !r.reachable || now.Before(r.nextMeasured) {
			continue
		}
		if oldest == nil || r.tried.Before(oldest.tried) {
			oldest, node = r, n
		}
	}
	return node, most, oldest != nil
}

// measure says whether it could.
func (s *Scanner) measure(ctx context.Context, n netmap.Node, m *netmap.Map, most int64, changed func()) bool {
	got, err := s.config.Prober.Measure(ctx, n, m, most)
	now := time.Now()
	log := s.config.Log.With("node", n.ID.Short())
	s.mu.Lock()
	s.spent += got.Bytes
	r := s.recordLocked(n.ID)
	r.tried, r.nextMeasured = now, now.Add(s.config.MeasureEvery)
	if err != nil || got.Rate == 0 {
		r.nextMeasured = now.Add(min(s.config.MeasureEvery, remeasure))
		s.mu.Unlock()
		log.Debug("a node could not be measured", "error", err)
		return false
	}
	r.add(measured{at: now, rate: got.Rate})
	isNew := r.tell(now)
	s.mu.Unlock()
	log.Debug("a node was measured", "bytes_per_second", got.Rate, "bytes", got.Bytes)
	if s.store != nil {
		if err := s.store.putMeasured(ctx, n.ID, now, got.Rate); err != nil && ctx.Err() == nil {
			log.Error("a measurement could not be kept", "error", err)
		}
	}
	if isNew {
		changed()
	}
	return true
}
