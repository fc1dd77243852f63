package verdict

import "sync"

// reasonsKept is how many reasons are remembered beside those of rules in
// force: of rules that are gone, and of list entries.
const reasonsKept = 1 << 16

// A registry gives reasons their numbers. Equal reasons have one number, also
// when the rules are read again.
type registry struct {
	mu         sync.Mutex
	last       uint32
	generation uint64
	ids        map[Decision]uint32 // keys have no RuleID
	records    map[uint32]*record
	unpinned   []uint32 // in the order in which they are forgotten
}

// A record is a reason with a number.
type record struct {
	decision   Decision
	generation uint64 // of the rules to which it belonged last; 0: none, it is a list's entry
	queued     bool   // it is in unpinned
}

// begin starts a generation of rules.
func (r *registry) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil {
		r.ids, r.records = make(map[Decision]uint32), make(map[uint32]*record)
	}
	r.generation++
}

// pin numbers a reason and keeps it as long as the generation is in force.
func (r *registry) pin(d Decision) Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.recordLocked(d)
	rec.generation = r.generation
	return rec.decision
}

// number numbers a reason that is kept for a while.
func (r *registry) number(d Decision) Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.recordLocked(d)
	if rec.generation != r.generation {
		r.queueLocked(rec)
	}
	return rec.decision
}

func (r *registry) recordLocked(d Decision) *record {
	d.RuleID = 0
	if id, ok := r.ids[d]; ok {
		return r.records[id]
	}
	r.last++
	for r.last == 0 || r.records[r.last] != nil { // after 2³² reasons
		r.last++
	}
	r.ids[d] = r.last
	rec := &record{decision: d}
	rec.decision.RuleID = r.last
	r.records[r.last] = rec
	return rec
}

func (r *registry) queueLocked(rec *record) {
	if rec.queued {
		return
	}
	rec.queued = true
	r.unpinned = append(r.unpinned, rec.decision.RuleID)
	for len(r.unpinned) > reasonsKept {
		r.forgetLocked(r.unpinned[0])
		r.unpinned = r.unpinned[1:]
	}
}

// forgetLocked drops a record unless it belongs to rules in force again.
func (r *registry) forgetLocked(id uint32) {
	rec := r.records[id]
	rec.queued = false
	if rec.generation == r.generation {
		return
	}
	key := rec.decision
	key.RuleID = 0
	delete(r.ids, key)
	delete(r.records, id)
}

// retire releases the reasons of rules that are not in force any more.
func (r *registry) retire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.records {
		if rec := r.records[id]; rec.generation != r.generation {
			r.queueLocked(rec)
		}
	}
}

func (r *registry) decision(id uint32) (Decision, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rec := r.records[id]; rec != nil {
		return rec.decision, true
	}
	return Decision{}, false
}
