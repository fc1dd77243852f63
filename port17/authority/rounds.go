package authority

import (
	"maps"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// rounds decides which votes count, so that all honest authorities decide the
// same however the others behave. It is the broadcast of Dolev and Strong
// ("Authenticated algorithms for Byzantine agreement", 1983), once for each
// author: a ballot that is accepted in round r carries r signatures, and who
// accepts it adds its own and passes it on. In the last round, f+1, one of the
// signatures is of an honest authority, which had accepted it before, and so
// everybody else has it by now.
//
// It has no clock and no network; whoever uses it says which round it is, and
// serves what is accepted. Its methods are for one goroutine at a time.
type rounds struct {
	quorum *quorum
	self   note.Signer
	period time.Time
	// accepted has the ballots of each author: two of them are proof that it is
	// hostile, and more are not needed.
	accepted map[uint32][]ballot
}

func newRounds(q *quorum, self note.Signer, period time.Time) *rounds {
	return &rounds{quorum: q, self: self, period: period, accepted: make(map[uint32][]ballot)}
}

// wants says whether the ballot would be accepted in the round, from 1 on, if
// its body is there and valid.
func (r *rounds) wants(b ballot, round int) bool {
	have := r.accepted[b.author]
	return round >= 1 && round <= r.quorum.rounds() && b.period.Equal(r.period) &&
		len(b.note.Sigs) >= round && len(have) < 2 &&
		!slices.ContainsFunc(have, func(h ballot) bool { return h.body == b.body })
}

// accept takes a ballot that it wants, and adds our signature.
func (r *rounds) accept(b ballot, round int) error {
	if !r.wants(b, round) {
		return nil
	}
	if !b.signedBy(r.self.KeyHash()) {
		var err error
		if b, err = b.sign(r.self); err != nil {
			return err
		}
	}
	r.accepted[b.author] = append(r.accepted[b.author], b)
	return nil
}

// ballots returns all that were accepted, to be passed on.
func (r *rounds) ballots() []ballot {
	var all []ballot
	for _, author := range slices.Sorted(maps.Keys(r.accepted)) {
		all = append(all, r.accepted[author]...)
	}
	return all
}

// result returns the votes that count after the last round, by author. An author
// that has signed two has none.
func (r *rounds) result() []ballot {
	return slices.DeleteFunc(r.ballots(), func(b ballot) bool { return len(r.accepted[b.author]) != 1 })
}

// equivocations returns the pairs of votes by which authors have shown that they
// are hostile.
func (r *rounds) equivocations() [][2]ballot {
	var all [][2]ballot
	for _, author := range slices.Sorted(maps.Keys(r.accepted)) {
		if b := r.accepted[author]; len(b) == 2 {
			all = append(all, [2]ballot{b[0], b[1]})
		}
	}
	return all
}
