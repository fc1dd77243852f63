package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"safing/netmap"
)

const (
	// stagger is how long a source is asked alone before the next one is asked
	// beside it, while there is no map.
	stagger = 2 * time.Second
	// oldPeriods is how many periods a map may be old, until others than the
	// source that has it are asked: it may keep newer ones back.
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

// next returns the next map, or the one there is after some time.
func (c *Client) next(ctx context.Context) (*netmap.Map, error) {
	m := c.Map()
	if m == nil {
		return c.first(ctx)
	}
	period, _ := c.config.Network.Times()
	if time.Since(m.ValidAfter) > oldPeriods*period && c.maySearch(period) {
		c.config.Log.Info("the map is old: all sources are asked for a newer one", "valid_after", m.ValidAfter)
		if newer, err := c.newer(ctx, m); newer != nil || err != nil {
			return newer, err
		}
	}
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

// maySearch says whether all sources are to be asked, once in each period.
func (c *Client) maySearch(period time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.search) < period {
		return false
	}
	c.search = time.Now()
	return true
}

// inOrder returns the sources, best first.
func (c *Client) inOrder() []*source {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.circuits == nil {
		return slices.Clone(c.sources)
	}
	return append([]*source{c.circuits}, c.sources...)
}

// first asks one source after the other, and the next one too when one takes
// long, until one has a map.
func (c *Client) first(ctx context.Context) (*netmap.Map, error) {
	type result struct {
		m   *netmap.Map
		err error
	}
	left := c.inOrder()
	if len(left) == 0 {
		return nil, errors.New("the network names nobody who has its map")
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
				m, err := c.fetch(ctx, s, 0)
				results <- result{m, err}
			}()
			next.Reset(stagger)
		case r := <-results:
			running--
			if r.err == nil {
				return r.m, nil
			}
			errs = append(errs, r.err)
			next.Reset(0)
		}
	}
	return nil, errors.Join(errs...)
}

// newer asks all sources until one has a newer map than the one there is. It
// returns none if no source has.
func (c *Client) newer(ctx context.Context, than *netmap.Map) (*netmap.Map, error) {
	for _, s := range slices.Backward(c.inOrder()) { // the first one has not had any
		m, err := c.fetch(ctx, s, 0)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil && m.Sequence > than.Sequence:
			c.prefer(s)
			return m, nil
		}
	}
	return nil, nil
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
