package client

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"safing/port17/circuit"
	"safing/port17/route"
)

const (
	defaultAhead = 6
	aheadOfKind  = 2
	maxAsked     = 16
	askedFor     = 10 * time.Minute // a circuit of a kind, so that such are built ahead
	activeFor    = 2 * time.Minute  // after its last connection a group gets no successor

	// One circuit is built ahead at a time.
	buildPause   = 500 * time.Millisecond // before each
	leastBackOff = time.Second            // after one that failed, and twice as long
	mostBackOff  = time.Minute            // after each further one
)

// A kind is what the circuits are alike in of which one is as good as another.
type kind struct {
	level   route.Level
	country string // of destinations
	port    uint16
}

func kindOf(r route.Request) kind {
	return kind{level: r.Level, country: r.Country, port: r.Destination.Port()}
}

// ahead is the circuits that are built before they are asked for. None carries
// anything until it is one group's, and it never is another's.
type ahead struct {
	built  []*shared
	asked  []asked // newest last
	number uint64  // of the last one
}

// An asked is a circuit that was asked for.
type asked struct {
	kind kind
	at   time.Time
}

// note remembers that a circuit was asked for.
func (a *ahead) note(k kind) {
	if len(a.asked) == maxAsked {
		a.asked = slices.Delete(a.asked, 0, 1)
	}
	a.asked = append(a.asked, asked{k, time.Now()})
}

// missing returns a kind of which a circuit should be built, those asked for
// last first.
func (a *ahead) missing(most int) (kind, bool) {
	if len(a.built) >= most {
		return kind{}, false
	}
	wanted := make(map[kind]int)
	for _, asked := range slices.Backward(a.asked) {
		k := asked.kind
		if time.Since(asked.at) > askedFor || wanted[k] == aheadOfKind {
			continue
		}
		if wanted[k]++; a.count(k) < wanted[k] {
			return k, true
		}
	}
	return kind{}, false
}

func (a *ahead) count(k kind) (n int) {
	for _, s := range a.built {
		if kindOf(s.request) == k {
			n++
		}
	}
	return n
}

// takeLocked takes a circuit that was built ahead for the need, if there is
// one. The group's last exit is better than that, and so may be others than one
// that the group has found to be far from the destination.
func (c *Client) takeLocked(n need) *shared {
	if n.group.cover != (circuit.Dialer{}) || n.group.directory {
		return nil
	}
	last, known := c.exits[n.group]
	known = known && !c.failures.now()[last.ID] && n.request.AllowsExit(last)
	for i, s := range c.ahead.built {
		if s.request.Level != n.request.Level || s.request.Country != n.request.Country || known && s.exit().ID != last.ID {
			continue
		}
		if n.request.ExitRTT[s.exit().ID] > worthLeaving/2 { // its way is gone twice
			continue
		}
		if s.suitsLocked(n) && s.ready() && s.use() {
			c.ahead.built = slices.Delete(c.ahead.built, i, i+1)
			return s
		}
	}
	return nil
}

func (c *Client) wakePreparer() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// prepare builds circuits ahead until ctx ends.
func (c *Client) prepare(ctx context.Context) {
	backOff := time.Duration(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(max(buildPause, backOff)):
			}
			next, ok := c.next()
			if !ok {
				break
			}
			if err := c.build(ctx, next); err != nil {
				c.config.Log.Debug("a circuit could not be built ahead", "error", err)
				backOff = min(max(2*backOff, leastBackOff), mostBackOff)
				continue
			}
			backOff = 0
		}
	}
}

// A job is a circuit to build ahead: for the group, or for any if that has a
// number.
type job struct {
	group   group
	request route.Request
}

// next returns what is to be built: successors of circuits that are in use
// first.
func (c *Client) next() (job, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for g, list := range c.circuits {
		if s := newest(list); time.Since(s.lastAsked()) < activeFor && !slices.ContainsFunc(list, (*shared).lasts) {
			return job{g, s.request}, true
		}
	}
	k, ok := c.ahead.missing(c.config.Ahead)
	if !ok {
		return job{}, false
	}
	c.ahead.number++
	return job{
		group: group{level: k.level, ahead: c.ahead.number},
		request: route.Request{
			Destination: netip.AddrPortFrom(netip.Addr{}, k.port), Country: k.country, Level: k.level,
			Requirements: route.Requirements{Unencrypted: unencrypted(k.port)},
		},
	}, true
}

// newest returns the circuit that was asked for last.
func newest(list []*shared) *shared {
	return slices.MaxFunc(list, func(a, b *shared) int { return a.lastAsked().Compare(b.lastAsked()) })
}

// build builds a circuit and waits until it is ready. It does so once more if a
// node has told its new prekeys. What is learned of those is for this circuit's
// group alone.
func (c *Client) build(ctx context.Context, j job) error {
	for again := range 2 {
		err := c.buildOnce(ctx, j)
		var ended *circuit.Error
		if err == nil || again > 0 || !errors.As(err, &ended) || ended.Retry == nil {
			return err
		}
	}
	return nil
}

func (c *Client) buildOnce(ctx context.Context, j job) error {
	l, w, err := c.path(ctx, j.request, j.group)
	if err != nil {
		return err
	}
	s := c.newShared(j.group, j.request, l, w)
	built, err := s.build()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		s.close()
		return context.Cause(ctx)
	case <-built.Done():
		return built.Err()
	case <-built.Built():
	}
	if !c.keep(j, s) {
		s.close()
		return ErrClosed
	}
	return nil
}

// keep adds a circuit that was built, unless the client was closed meanwhile.
func (c *Client) keep(j job, s *shared) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if j.group.ahead > 0 {
		c.ahead.built = append(c.ahead.built, s)
	} else {
		c.circuits[j.group] = append(c.circuits[j.group], s)
		c.exits[j.group] = s.exit()
	}
	return true
}
