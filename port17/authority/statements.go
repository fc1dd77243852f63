package authority

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"safing/netmap"
)

// statements are what the operators of all authorities have said by hand: of
// each the newest about a subject. Every authority passes on those of the others,
// so that what one has said stays in force while it is away.
type statements struct {
	network *netmap.Network
	most    int // of one authority

	mu  sync.Mutex
	all []netmap.Statement
}

func newStatements(n *netmap.Network) *statements {
	return &statements{network: n, most: maxStatements / len(n.Authorities)}
}

// put takes a statement, and returns which have lost their force by it. New is
// false if it was there.
func (s *statements) put(next netmap.Statement) (forgotten []digest, isNew bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := func(other netmap.Statement) bool { return bytes.Equal(other.Signed, next.Signed) }
	if slices.ContainsFunc(s.all, same) {
		return nil, false, nil
	}
	later := next.Date
	for _, other := range s.all {
		if other.Date.After(later) {
			later = other.Date
		}
	}
	// What counts today stays until the date of what takes its place.
	with := append(slices.Clone(s.all), next)
	inForce := union(s.network.Stand(with, time.Now()).InForce(), s.network.Stand(with, later).InForce())
	if !slices.ContainsFunc(inForce, same) {
		return nil, false, errors.New("a newer statement of the authority about the same is known")
	}
	if n := countOf(inForce, next.Authority); n > s.most {
		return nil, false, fmt.Errorf("the authority has made statements about %d subjects, and no more are possible", s.most)
	}
	stays := make(map[string]bool, len(inForce))
	for _, one := range inForce {
		stays[string(one.Signed)] = true
	}
	for _, old := range s.all {
		if !stays[string(old.Signed)] {
			forgotten = append(forgotten, parcel{kindStatement, old.Signed}.hash())
		}
	}
	s.all = inForce
	return forgotten, true, nil
}

// union returns the statements of both lists, each once.
func union(a, b []netmap.Statement) []netmap.Statement {
	all := append(slices.Clone(a), b...)
	slices.SortFunc(all, func(a, b netmap.Statement) int { return bytes.Compare(a.Signed, b.Signed) })
	return slices.CompactFunc(all, func(a, b netmap.Statement) bool { return bytes.Equal(a.Signed, b.Signed) })
}

func countOf(all []netmap.Statement, authority int) (n int) {
	for _, s := range all {
		if s.Authority == authority {
			n++
		}
	}
	return n
}

// notes returns all statements as they were signed, for a vote.
func (s *statements) notes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]string, 0, len(s.all))
	for _, one := range s.all {
		all = append(all, string(one.Signed))
	}
	return all
}

// standingIn returns the statements in the votes that are in force in the period,
// and what they come to. Like a tally it is a pure function of the votes: of each
// authority only as many as a map has room for count, the newest ones.
func (s *statements) standingIn(votes []*vote, period time.Time) ([]netmap.Statement, *netmap.Standing) {
	seen := make(map[string]bool)
	var all []netmap.Statement
	for _, v := range votes {
		for _, signed := range v.statements {
			if seen[signed] {
				continue
			}
			seen[signed] = true
			if one, err := s.network.OpenStatement([]byte(signed)); err == nil { // a hostile vote may have anything
				all = append(all, one)
			}
		}
	}
	inForce := s.network.Stand(all, period).InForce()
	slices.SortFunc(inForce, func(a, b netmap.Statement) int {
		return cmp.Or(b.Date.Compare(a.Date), bytes.Compare(a.Signed, b.Signed))
	})
	count := make(map[int]int)
	inForce = slices.DeleteFunc(inForce, func(one netmap.Statement) bool {
		count[one.Authority]++
		return count[one.Authority] > s.most
	})
	return inForce, s.network.Stand(inForce, period)
}

// AddStatement takes what the operator of one of the network's authorities has
// signed. The error is for the operator.
func (a *Authority) AddStatement(ctx context.Context, signed []byte) error {
	p := parcel{kindStatement, bytes.Clone(signed)}
	isNew, err := a.keepStatement(ctx, p)
	if err != nil || !isNew {
		return err
	}
	for _, f := range a.forwards {
		f.add(p)
	}
	return nil
}

func (a *Authority) keepStatement(ctx context.Context, p parcel) (isNew bool, err error) {
	s, err := a.network.OpenStatement(p.Signed)
	if err != nil {
		return false, err
	}
	now := time.Now()
	if s.Date.After(now.Add(maxSkew)) {
		return false, fmt.Errorf("statement is of %s and now is %s: check the clock", s.Date.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	forgotten, isNew, err := a.statements.put(s)
	if err != nil || !isNew {
		return false, err
	}
	if err := a.store.putObject(ctx, p.hash(), p, now, forgotten); err != nil {
		return false, err
	}
	if s.Moderation != nil {
		a.log.Info("an authority has judged a node", "authority", a.network.Authorities[s.Authority].URL,
			"node", s.Moderation.Node.Short(), "action", s.Moderation.Action.String(), "reason", s.Moderation.Reason)
	}
	time.AfterFunc(time.Until(s.Date), a.touch) // before that it does not count
	return true, nil
}
