package client

import (
	"cmp"
	"net/netip"
	"strings"
	"sync"
	"time"

	"safing/netmap"
	"safing/port17/cell"
)

const (
	rememberFor = time.Hour // where a name was, and how far it was from an exit
	mostPlaces  = 10000     // names, and places, that are remembered
	mostExits   = 16        // of which it is remembered how far one place is

	// Networks that stand for the place of an address of which nothing is known.
	place4 = 16
	place6 = 32

	leastDistance = time.Millisecond
	mostDistance  = 2 * time.Second // what takes longer says nothing of the way
	smoothing     = 8               // the part of a longer time that counts
)

// A place is where a destination is, as far as routes go: its network (AS) and
// country, or else the part of the address space that it is in.
type place struct {
	country string
	asn     uint32
	net     netip.Prefix
}

func placeOf(country string, asn uint32, a netip.Addr) place {
	p := place{country: country, asn: asn}
	if p != (place{}) || !a.IsValid() {
		return p
	}
	bits := place6
	if a = a.Unmap(); a.Is4() {
		bits = place4
	}
	p.net, _ = a.Prefix(bits) //nolint:errcheck // all addresses have as many bits
	return p
}

// A memory is what groups of connections have learned of destinations: where
// names were, and how far that was from the exits that were used. It is never
// written down.
//
// As with prekeys (see [told]), what one group has learned no other one uses.
// Exits, and destinations, have a hand in it: an exit can name a wrong address,
// and both can let others wait. If all groups went by that, exits that work
// together could have one application's connections slowed down everywhere but
// at one of them, and know the client by who comes to it next.
//
// What a lie can do is bounded. It counts for one group, and there for one name
// or place, for an hour. An exit's word is used for nothing but to guess which
// exits are near: the place is not connected to, and what the request asks of
// exits holds. And an exit that says a name is elsewhere sends the group away
// from itself, which it would have kept otherwise.
type memory struct {
	mu    sync.Mutex
	names map[groupName]namePlace
	exits map[groupPlace]map[netmap.NodeID]distance
}

type groupName struct {
	group group
	host  string
}

type namePlace struct {
	place
	exit netmap.NodeID // who has said so
	at   time.Time
}

type groupPlace struct {
	group group
	place place
}

// A distance is the round trip from an exit to a place.
type distance struct {
	rtt time.Duration
	at  time.Time
}

// add remembers where a name is.
func (m *memory) add(g group, host string, p namePlace) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names == nil || len(m.names) >= mostPlaces {
		m.names = make(map[groupName]namePlace)
	}
	m.names[groupName{g, strings.ToLower(host)}] = p
}

// find returns where a name was when the group was last connected to it.
func (m *memory) find(g group, host string) (namePlace, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := groupName{g, strings.ToLower(host)}
	p, ok := m.names[k]
	if ok && time.Since(p.at) > rememberFor {
		delete(m.names, k)
		return namePlace{}, false
	}
	return p, ok
}

// measured remembers how far a place was from an exit. Shorter times count at
// once, as much can make one longer that has nothing to do with the way, and
// longer ones little by little.
func (m *memory) measured(g group, p place, exit netmap.NodeID, rtt time.Duration) {
	if p == (place{}) || rtt > mostDistance {
		return
	}
	rtt = max(rtt, leastDistance)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.exits == nil || len(m.exits) >= mostPlaces {
		m.exits = make(map[groupPlace]map[netmap.NodeID]distance)
	}
	k, now := groupPlace{g, p}, time.Now()
	all := m.exits[k]
	if all == nil {
		all = make(map[netmap.NodeID]distance)
		m.exits[k] = all
	}
	if last, ok := all[exit]; ok && rtt > last.rtt && now.Sub(last.at) <= rememberFor {
		rtt = last.rtt + (rtt-last.rtt)/smoothing
	} else if !ok && len(all) >= mostExits {
		delete(all, oldest(all))
	}
	all[exit] = distance{rtt, now}
}

func oldest(all map[netmap.NodeID]distance) (id netmap.NodeID) {
	var first time.Time
	for i, d := range all {
		if first.IsZero() || d.at.Before(first) {
			id, first = i, d.at
		}
	}
	return id
}

// rtts returns how far the place is from exits; nil if that is not known.
func (m *memory) rtts(g group, p place) map[netmap.NodeID]time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := groupPlace{g, p}
	var rtts map[netmap.NodeID]time.Duration
	for id, d := range m.exits[k] {
		if time.Since(d.at) > rememberFor {
			delete(m.exits[k], id)
			continue
		}
		if rtts == nil {
			rtts = make(map[netmap.NodeID]time.Duration)
		}
		rtts[id] = d.rtt
	}
	if rtts == nil {
		delete(m.exits, k)
	}
	return rtts
}

// where returns the place of a destination: of its address, or where its name
// was the last time. What the request says of the country counts.
func (c *Client) where(g group, t cell.Target, country string) place {
	if t.Host == "" {
		l := c.config.Geo.Locate(t.Addr)
		return placeOf(cmp.Or(country, l.Country), l.ASN, t.Addr)
	}
	p := place{country: country}
	if known, ok := c.memory.find(g, t.Host); ok {
		p = known.place
		p.country = cmp.Or(country, p.country)
	}
	return p
}

// A LastPlace is where a name was when it was last connected to, as the exit
// said.
type LastPlace struct {
	Country string    `json:"country,omitempty"`
	ASN     uint32    `json:"asn,omitempty"`
	Exit    string    `json:"exit"` // the name of the one that said so
	At      time.Time `json:"at"`
}

// LastPlace returns where the name of the request's destination was, if the
// connections that it would share circuits with have been there.
func (c *Client) LastPlace(r Request) (LastPlace, bool) {
	t, err := r.target()
	if err != nil || t.Host == "" {
		return LastPlace{}, false
	}
	p, ok := c.memory.find(c.need(r, t).group, t.Host)
	if !ok || p.country == "" && p.asn == 0 {
		return LastPlace{}, false
	}
	last := LastPlace{Country: p.country, ASN: p.asn, Exit: p.exit.Short(), At: p.at}
	if m := c.Map(); m != nil {
		if n, ok := m.Node(p.exit); ok {
			last.Exit = n.Name
		}
	}
	return last, true
}
