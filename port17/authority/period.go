package authority

import (
	"context"
	"errors"
	"fmt"
	"time"

	"safing/netmap"
)

// runPeriods makes a map with the other authorities in every period.
func (a *Authority) runPeriods(ctx context.Context) {
	for {
		next := a.schedule.next(time.Now())
		wait(ctx, time.Until(next))
		if ctx.Err() != nil {
			return
		}
		if err := a.runPeriod(ctx, next); err != nil && ctx.Err() == nil {
			a.log.Warn("there is no new map in this period", "period", next.Format(time.RFC3339), "error", err)
		}
	}
}

// runPeriod returns when a map of the period is out, or before the next period.
func (a *Authority) runPeriod(ctx context.Context, period time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, period.Add(a.period-a.period/50))
	defer cancel()
	votes, err := a.decide(ctx, period)
	if err != nil {
		return err
	}
	for {
		c, err := a.compile(ctx, period, votes)
		if err == nil {
			err = a.enter(ctx, c)
		}
		if err == nil {
			err = a.complete(ctx)
		}
		// One of an earlier period may have been completed first, or taken.
		if !a.madeIn().Before(period) {
			return nil
		}
		if err != nil {
			a.log.Info("the map is not complete yet", "period", period.Format(time.RFC3339), "error", err)
		}
		wait(ctx, a.pollEvery())
		if ctx.Err() != nil {
			return errors.Join(errors.New("the map was not signed by enough authorities and witnesses in time"), err)
		}
	}
}

// pollEvery is how long others are given before they are asked again.
func (a *Authority) pollEvery() time.Duration {
	return min(a.schedule.round/pollsInRound, 5*time.Second)
}

// renew makes a map alone.
func (a *Authority) renew(ctx context.Context) error {
	if err := a.finish(ctx); err != nil {
		return err
	}
	now := time.Now().UTC().Truncate(time.Second)
	c, err := a.compile(ctx, now, []*vote{a.opinion(now, time.Now().Add(maxSkew))})
	if err != nil {
		return err
	}
	if err := a.enter(ctx, c); err != nil {
		return err
	}
	return a.finish(ctx)
}

// decide votes, and returns the votes that count.
func (a *Authority) decide(ctx context.Context, period time.Time) ([]*vote, error) {
	a.dropSilent(ctx)
	e := newElection(a.quorum, a.schedule, a.signer, period, a.log)
	b, body, err := a.castVote(ctx, period)
	if err != nil {
		return nil, err
	}
	if err := e.add(b, body); err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.election = e
	a.mu.Unlock()
	e.gather(ctx, a.peers)
	votes, proofs := e.result()
	for _, p := range proofs {
		a.log.Error("an authority has voted twice: it is hostile, or its key was stolen",
			"authority", a.quorum.urls[p[0].author], "period", period.Format(time.RFC3339))
		if err := a.store.putEquivocation(ctx, p[0], p[1]); err != nil {
			a.log.Error("the proof could not be kept", "error", err)
		}
	}
	if len(votes) < a.quorum.threshold {
		return nil, fmt.Errorf("there are %d votes, and %d are needed", len(votes), a.quorum.threshold)
	}
	a.fetchAgreed(ctx, votes)
	return votes, nil
}

// castVote makes our vote of the period, or returns the one that it made before
// a restart: two would look hostile.
func (a *Authority) castVote(ctx context.Context, period time.Time) (ballot, []byte, error) {
	signed, body, err := a.store.vote(ctx, period)
	if err != nil {
		return ballot{}, nil, err
	}
	if signed != nil {
		b, err := openBallot(a.quorum, signed)
		if err != nil {
			return ballot{}, nil, err
		}
		v, err := parseVote(b.voteHeader, body)
		if err != nil {
			return ballot{}, nil, err
		}
		a.nodes.pin(v.named())
		return b, body, nil
	}
	b, body, err := makeBallot(a.opinion(period, period.Add(-a.schedule.margin())), a.signer, a.quorum.network)
	if err != nil {
		return ballot{}, nil, err
	}
	if signed, err = b.bytes(); err != nil {
		return ballot{}, nil, err
	}
	return b, body, a.store.putVote(ctx, period, signed, body)
}

// opinion returns what we say of the network and of each node from which
// something was published until then.
func (a *Authority) opinion(period, until time.Time) *vote {
	v := &vote{author: a.signer.KeyHash(), period: period, opinions: a.nodes.opinions(until), statements: a.statements.notes()}
	for i := range v.opinions {
		o := &v.opinions[i]
		if o.Reachable = true; a.scanner != nil {
			o.Reachable, o.BadExit, o.Capacity = a.scanner.Opinion(o.ID)
		}
	}
	if p := a.newestPolicy(); p != nil {
		v.policy = string(p.Signed)
	}
	return v
}

// compile makes the map that the votes want.
func (a *Authority) compile(ctx context.Context, period time.Time, votes []*vote) (*candidate, error) {
	inForce, standing := a.statements.standingIn(votes, period)
	t := &tally{quorum: a.quorum, facts: make(map[digest]facts), standing: standing}
	for _, d := range a.quorum.agreed(votes) {
		if o := a.nodes.object(d); o != nil {
			t.facts[d] = o.facts
		}
	}
	members, err := t.members(votes)
	if err != nil {
		return nil, err
	}
	nodes, list, err := a.listed(members)
	if err != nil {
		return nil, err
	}
	m, err := netmap.New(a.quorum.network, 0, period, period, nodes)
	if err != nil {
		return nil, err
	}
	appeals, err := t.appeals(votes)
	if err != nil {
		return nil, err
	}
	for _, s := range inForce {
		n := netmap.Notice{Signed: s.Signed}
		if s.Moderation != nil {
			n.Appeal = appeals[s.Moderation.Node]
		}
		m.Notices = append(m.Notices, n)
	}
	if p := agreedPolicy(a.network, votes); p != nil {
		m.Policy = p.Signed
	}
	return a.propose(ctx, period, m, list)
}

// listed looks up what the members have published.
func (a *Authority) listed(members []member) ([]netmap.Node, []listing, error) {
	nodes := make([]netmap.Node, 0, len(members))
	list := make([]listing, 0, len(members))
	for _, m := range members {
		d, k := a.nodes.object(m.descriptor), a.nodes.object(m.keys)
		if d == nil || k == nil {
			return nil, nil, fmt.Errorf("what node %s has published is forgotten", m.id.Short())
		}
		nodes = append(nodes, netmap.Node{Descriptor: d.descriptor, Keys: k.keys, Flags: m.flags(), Measured: m.capacity})
		list = append(list, listing{ID: m.id, Descriptor: m.descriptor, Keys: m.keys})
	}
	return nodes, list, nil
}
