package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"safing/netmap"
)

const (
	// stagger is how long a source is asked alone before the next one is asked
	// beside it.
	stagger = 2 * time.Second
	// oldPeriods is how many periods ago a map may have been made, until others
	// than the source that has it are asked: it may keep newer ones back.
	oldPeriods = 2
)

// Fetch asks the sources for the newest map. When none has a newer one, it
// returns the one it has.
func (c *Client) Fetch(ctx context.Context) (*netmap.Map, error) {
	m, err := c.first(ctx)
	if err != nil {
		return nil, err
	}
	return c.fill(ctx, m, func(*netmap.Map) {}), nil
}

// next returns the next map, or the one there is after some time. It asks the
// best source, which may wait; and once a map is overdue, the others beside it.
func (c *Client) next(ctx context.Context) (m *netmap.Map, err error) {
	have := c.Map()
	if have == nil {
		return c.first(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	polled, found := make(chan struct{}), make(chan *netmap.Map, 1)
	asking.Go(func() {
		defer close(polled)
		m, err = c.poll(ctx)
	})
	over, searching := false, false
	overdue := time.NewTimer(c.untilSearch(have))
	defer overdue.Stop()
	for !over || searching {
		select {
		case <-polled:
			if over, polled = true, nil; m != nil && m.Sequence > have.Sequence {
				return m, nil
			}
		case <-overdue.C:
			searching = true
			asking.Go(func() { found <- c.search(ctx, have) })
		case newer := <-found:
			if searching = false; newer != nil {
				c.detour()
				cancel()
				asking.Wait() // m is poll's until then
				return newer, nil
			}
			overdue.Reset(c.untilSearch(have))
		}
	}
	return m, err
}

// poll asks the sources, the best first, until one has an answer, which may be
// that there is no newer map.
func (c *Client) poll(ctx context.Context) (*netmap.Map, error) {
	var errs []error
	for _, s := range c.inOrder() {
		m, err := c.fetch(ctx, s, pollFor)
		if err == nil || ctx.Err() != nil {
			return m, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// search asks all sources for a newer map than the one there is, because that is
// old: it may be that the one which is asked is silent, or keeps newer ones back.
// It returns nil if none has any.
func (c *Client) search(ctx context.Context, have *netmap.Map) *netmap.Map {
	c.config.Log.Info("the map is old: all sources are asked for a newer one", "sequence", have.Sequence)
	c.mu.Lock()
	c.searched = time.Now()
	c.mu.Unlock()
	last := c.inOrder()
	slices.Reverse(last) // the first one has not had any
	m, err := inTurn(ctx, last, func(ctx context.Context, s *source) (*netmap.Map, error) {
		m, err := c.fetch(ctx, s, 0)
		switch {
		case err != nil:
			return nil, err
		case m.Sequence <= have.Sequence:
			return nil, errNoNewer
		}
		c.prefer(s)
		return m, nil
	})
	if err != nil {
		return nil
	}
	return m
}

var errNoNewer = errors.New("it has no newer map")

// untilSearch returns when all sources are to be asked: when the map is old, and
// once in each period.
func (c *Client) untilSearch(have *netmap.Map) time.Duration {
	period, validity := c.config.Network.Times()
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(time.Until(have.ValidUntil.Add(oldPeriods*period-validity)), time.Until(c.searched.Add(period)), 0)
}

// detour puts circuits last for a while: the node at their end, or one on the way,
// is silent or keeps maps back.
func (c *Client) detour() {
	period, _ := c.config.Network.Times()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.avoid = time.Now().Add(oldPeriods * period)
}

// inOrder returns the sources, best first.
func (c *Client) inOrder() []*source {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.circuits == nil:
		return slices.Clone(c.sources)
	case time.Now().Before(c.avoid):
		return append(slices.Clone(c.sources), c.circuits)
	}
	return append([]*source{c.circuits}, c.sources...)
}

// first asks the sources until one has a map.
func (c *Client) first(ctx context.Context) (*netmap.Map, error) {
	return inTurn(ctx, c.inOrder(), func(ctx context.Context, s *source) (*netmap.Map, error) { return c.fetch(ctx, s, 0) })
}

// inTurn asks one source after the other, and the next one too when one takes
// long, until one has an answer.
func inTurn[T any](ctx context.Context, left []*source, ask func(context.Context, *source) (T, error)) (T, error) {
	type result struct {
		answer T
		err    error
	}
	var none T
	if len(left) == 0 {
		return none, errors.New("the network names nobody who has its map")
	}
	ctx, cancel := context.WithCancel(ctx)
	results, running := make(chan result), 0
	defer func() {
		cancel()
		for ; running > 0; running-- {
			<-results
		}
	}()
	next := time.NewTimer(0)
	defer next.Stop()
	var errs []error
	for len(left) > 0 || running > 0 {
		select {
		case <-next.C:
			if len(left) == 0 {
				continue
			}
			s := left[0]
			left = left[1:]
			running++
			go func() {
				answer, err := ask(ctx, s)
				results <- result{answer, err}
			}()
			next.Reset(stagger)
		case r := <-results:
			running--
			if r.err == nil {
				return r.answer, nil
			}
			errs = append(errs, r.err)
			next.Reset(0)
		}
	}
	return none, errors.Join(errs...)
}

// fetch asks one source, which may wait. One that fails comes last from then on.
func (c *Client) fetch(ctx context.Context, s *source, wait time.Duration) (*netmap.Map, error) {
	have := c.Map()
	var after uint64
	if have != nil {
		after = have.Sequence
	}
	got, err := s.ask(ctx, after, wait, c.newest())
	m := have
	if err == nil && !got.none {
		m, err = c.take(got.signed)
	}
	if err != nil {
		err = fmt.Errorf("fetch map from %s: %w", s.name, err)
		if ctx.Err() == nil {
			c.demote(s)
		}
		if unbelievable(err) {
			c.config.Log.Warn("a map was refused", "error", err)
		}
		return nil, err
	}
	return m, nil
}

// unbelievable says whether somebody has told what is not so, or clocks differ.
func unbelievable(err error) bool {
	return slices.ContainsFunc([]error{
		ErrRollback, ErrSplit, netmap.ErrMap, netmap.ErrSignature, netmap.ErrWitness, netmap.ErrExpired, netmap.ErrNotYet, netmap.ErrTooLarge, netmap.ErrDelta,
	}, func(target error) bool { return errors.Is(err, target) })
}

func (c *Client) demote(s *source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.sources, s); i >= 0 {
		c.sources = append(slices.Delete(c.sources, i, i+1), s)
	}
}

func (c *Client) prefer(s *source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.sources, s); i >= 0 {
		c.sources = slices.Insert(slices.Delete(c.sources, i, i+1), 0, s)
	}
}
