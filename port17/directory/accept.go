package directory

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"safing/netmap"
)

// Errors of what a source answers with, beside those of [netmap.Network.Verify].
var (
	// ErrRollback means that a map is older than one that was seen.
	ErrRollback = errors.New("the map is older than one that was seen already: somebody keeps newer ones back")
	// ErrSplit means that there are two different maps of one number.
	ErrSplit = errors.New("there are two different maps of one number: " +
		"the authorities, or who has their keys, show different maps to different people. Tell others of it")
)

// take verifies a map and keeps it, if it is newer than what was seen.
func (c *Client) take(signed []byte) (*netmap.Map, error) {
	m, head, err := c.verify(signed)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.seen.check(m.Sequence, head); err != nil {
		if errors.Is(err, ErrSplit) {
			err = c.keepEvidenceLocked(m.Sequence, head, err)
		}
		return nil, err
	}
	if err := checkTime(m, time.Now()); err != nil {
		return nil, err
	}
	if c.held != nil && c.held.Sequence == m.Sequence {
		return c.held.Map, nil
	}
	c.obey(m)
	if c.held != nil {
		m = keep(m, keysOn(c.held.Map))
	}
	c.forgetReadLocked(m)
	c.held = &held{Map: m, signed: signed}
	c.seen.add(m.Sequence, head)
	if err := c.saveLocked(); err != nil {
		c.config.Log.Warn("the map could not be kept on disk", "error", err)
	}
	c.shareLocked()
	return m, nil
}

// obey takes the policy of suites on the map. One that does not hold changes
// nothing: what was in force still is.
func (c *Client) obey(m *netmap.Map) {
	if c.config.Policies == nil || len(m.Policy) == 0 {
		return
	}
	if err := c.config.Policies.Update(m.Policy); err != nil {
		c.config.Log.Error("the policy of suites on the map is not what it should be", "error", err)
	}
}

// verify reads a signed map, whenever it is valid, and returns its head too.
func (c *Client) verify(signed []byte) (*netmap.Map, []byte, error) {
	head, _, _ := bytes.Cut(signed, []byte{0})
	h, err := netmap.ParseHeader(string(headerOf(head)))
	if err != nil {
		return nil, nil, err
	}
	m, err := c.config.Network.Verify(signed, h.ValidAfter)
	return m, head, err
}

// headerOf returns the header that a head begins with.
func headerOf(head []byte) []byte {
	header, _, _ := bytes.Cut(head, []byte("\n\n"))
	return append(bytes.Clone(header), '\n')
}

// checkTime refuses a map that is not valid now, and says how far the clock is
// off at least if it is the clock.
func checkTime(m *netmap.Map, now time.Time) error {
	at := now.UTC().Format(time.RFC3339)
	if now.Before(m.ValidAfter) {
		return fmt.Errorf("%w: it is slow by at least %s: it says %s and map %d is valid from %s", netmap.ErrNotYet,
			m.ValidAfter.Sub(now).Round(time.Second), at, m.Sequence, m.ValidAfter.Format(time.RFC3339))
	}
	if !now.Before(m.ValidUntil) {
		return fmt.Errorf("%w: the clock says %s and map %d was valid until %s, %s before that", netmap.ErrExpired,
			at, m.Sequence, m.ValidUntil.Format(time.RFC3339), now.Sub(m.ValidUntil).Round(time.Second))
	}
	return nil
}

// shareLocked gives the newest map to the mirror.
func (c *Client) shareLocked() {
	if c.config.Mirror != nil {
		c.config.Mirror.Add(c.held.Sequence, c.held.signed, c.held.Shards())
	}
}
