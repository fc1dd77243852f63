package client

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"safing/netmap"
)

// ErrCanary means that an authority's canary is missing, out of date or
// withdrawn, and that the client is to build no circuits then.
var ErrCanary = errors.New("an authority does not say that nobody makes it do what it does not want to")

// A canary is what an authority says of itself on a map.
type canary struct {
	authority string // URL
	said      bool
	netmap.Canary
}

// canariesOn returns what each authority of the network says on the map.
func canariesOn(n *netmap.Network, m *netmap.Map) (all []canary) {
	var statements []netmap.Statement
	for _, notice := range m.Notices {
		if s, err := n.OpenStatement(notice.Signed); err == nil && s.Canary != nil {
			statements = append(statements, s)
		}
	}
	standing := n.Stand(statements, m.ValidUntil) // what was too early is not on the map
	for i, a := range n.Authorities {
		said, ok := standing.Canary(i)
		all = append(all, canary{a.URL, ok, said})
	}
	return all
}

// trouble says what is wrong with the canary; empty if nothing is.
func (c canary) trouble(now time.Time) string {
	switch {
	case !c.said:
		return c.authority + " has published no canary"
	case !c.Good:
		return fmt.Sprintf("%s has withdrawn its canary on %s: somebody may make it do what it does not want to", c.authority, c.Date.Format(time.DateOnly))
	case !c.Alive(now):
		return fmt.Sprintf("the canary of %s ended on %s, and there is no new one", c.authority, c.Until.Format(time.DateOnly))
	}
	return ""
}

// canaryTroubles says what is wrong with the authorities' canaries. Where none
// has ever published one, nothing is, unless the client is to stop without.
func (c *Client) canaryTroubles() (troubles []string) {
	c.mu.Lock()
	all := c.canaries
	c.mu.Unlock()
	if !c.config.StopWithoutCanary && !slices.ContainsFunc(all, func(c canary) bool { return c.said }) {
		return nil
	}
	now := time.Now()
	for _, one := range all {
		if t := one.trouble(now); t != "" {
			troubles = append(troubles, t)
		}
	}
	return troubles
}

// checkCanaries returns why no circuits are to be built, if that is so.
func (c *Client) checkCanaries() error {
	if !c.config.StopWithoutCanary {
		return nil
	}
	if t := c.canaryTroubles(); len(t) > 0 {
		return fmt.Errorf("%w: %s. No circuits are built until it does, as stop-without-canary says", ErrCanary, t[0])
	}
	return nil
}

// noteCanaries reads the canaries of a new map, and logs what is wrong with them
// if that is news.
func (c *Client) noteCanaries(m *netmap.Map) {
	before := c.canaryTroubles()
	all := canariesOn(c.config.Network, m)
	c.mu.Lock()
	c.canaries = all
	c.mu.Unlock()
	for _, t := range c.canaryTroubles() {
		if !slices.Contains(before, t) {
			c.config.Log.Warn("an authority's canary", "trouble", t)
		}
	}
}
