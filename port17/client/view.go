package client

import (
	"slices"
	"time"

	"safing/netmap"
	"safing/port17/route"
)

// A Status says how a client fares.
type Status struct {
	Network  string    `json:"network"`
	Sequence uint64    `json:"sequence"` // of the map; 0 without one
	Until    time.Time `json:"valid_until"`
	Nodes    int       `json:"nodes"`
	// Problem says why no new circuits are built; empty if they are.
	Problem string `json:"problem,omitempty"`
	// Canaries says what is wrong with the authorities' canaries.
	Canaries []string `json:"canaries,omitempty"`
	Circuits int      `json:"circuits"` // in use
	Ahead    int      `json:"ahead"`    // built before they are asked for
	Streams  int      `json:"streams"`
	Level    string   `json:"level"`
}

// An Overview is what changes about a client.
type Overview struct {
	Status
	Routes []CircuitView `json:"routes"` // the circuits, the oldest first
}

// A CircuitView is one circuit.
type CircuitView struct {
	App   string `json:"app,omitempty"`
	Level string `json:"level"`
	// Delay is the mean of the delays at each node, in nanoseconds, and Shape how
	// the circuit is padded.
	Delay time.Duration `json:"delay"`
	Shape string        `json:"shape"`
	// State is "ahead" for one that was built before it was asked for, "open"
	// while it takes connections, "ending" when it has only those it has, and
	// "map" for that on which the client follows the map.
	State    string        `json:"state"`
	Wrapping string        `json:"wrapping"` // of its link to the entry: tcp, quic or tls
	Nodes    []HopInfo     `json:"nodes"`
	Since    time.Time     `json:"since"` // when it was planned
	Streams  int           `json:"streams"`
	RTT      time.Duration `json:"rtt"`  // of the handshake, nanoseconds; 0 until all have replied
	Sent     uint64        `json:"sent"` // bytes in cells
	Received uint64        `json:"received"`
}

// A RouteView is the route that a connection would take, and why.
type RouteView struct {
	Destination string        `json:"destination"`
	Route       []HopInfo     `json:"route"`
	Cost        time.Duration `json:"cost"` // estimated time until the first byte, nanoseconds
	// Last is where the name was the last time, if there was one.
	Last *LastPlace `json:"last_place,omitempty"`
	route.Explanation
}

// A NoRouteView says why there is no route.
type NoRouteView struct {
	Error       string `json:"error"`
	Nodes       int    `json:"nodes"` // of the route that was asked for
	Destination string `json:"destination"`
	// Relaxed are the parts of the request that are each alone in the way.
	Relaxed  []route.Relaxation `json:"relaxed"`
	Excluded []route.Exclusion  `json:"excluded"`
}

// Status returns how the client fares.
func (c *Client) Status() Status { return c.Overview().Status }

// Overview returns the status with the circuits.
func (c *Client) Overview() Overview {
	s := Status{Network: c.config.Network.Name, Level: c.config.Level.String()}
	circuits := c.Circuits()
	for _, v := range circuits {
		switch v.State {
		case "map":
			continue
		case "ahead":
			s.Ahead++
		default:
			s.Circuits++
		}
		s.Streams += v.Streams
	}
	if m := c.Map(); m != nil {
		s.Sequence, s.Until, s.Nodes = m.Sequence, m.ValidUntil, len(m.Nodes)
	}
	if _, err := c.usable(); err != nil {
		s.Problem = err.Error()
		if why := c.directory.Err(); why != nil {
			s.Problem += " (" + why.Error() + ")"
		}
	}
	s.Canaries = c.canaryTroubles()
	return Overview{Status: s, Routes: circuits}
}

// ViewRoute returns a view of an explanation.
func ViewRoute(destination string, e route.Explanation) RouteView {
	v := RouteView{Destination: destination, Cost: e.Chosen.Cost, Explanation: e, Route: []HopInfo{}}
	for _, n := range e.Chosen.Nodes {
		v.Route = append(v.Route, hopInfo(n))
	}
	return v
}

// ViewNoRoute returns a view of why there is no route.
func ViewNoRoute(err *route.NoRouteError, e route.Explanation) NoRouteView {
	relaxed := err.Relaxed()
	if relaxed == nil {
		relaxed = []route.Relaxation{}
	}
	return NoRouteView{Error: err.Error(), Nodes: err.Nodes, Destination: err.Destination, Relaxed: relaxed, Excluded: e.Excluded}
}

func hopInfo(n netmap.Node) HopInfo {
	return HopInfo{ID: n.ID, Name: n.Name, Owner: n.Owner, Country: n.Country}
}

// Circuits returns the circuits, the oldest first.
func (c *Client) Circuits() []CircuitView {
	c.mu.Lock()
	defer c.mu.Unlock()
	views := []CircuitView{}
	for _, s := range c.allLocked() {
		views = append(views, s.viewLocked())
	}
	slices.SortFunc(views, func(a, b CircuitView) int { return a.Since.Compare(b.Since) })
	return views
}

// viewLocked is called with client.mu held.
func (s *shared) viewLocked() CircuitView {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := CircuitView{App: s.group.app, Level: s.group.level.String(), Delay: s.cover.Delay, Shape: s.cover.Shape.String(), State: "open", Wrapping: s.link.Wrapping().String(), Nodes: s.route(), Since: s.made}
	switch {
	case s.group.directory:
		v.State = "map"
	case !s.freshLocked():
		v.State = "ending"
	case s.group.ahead > 0:
		v.State = "ahead"
	}
	if s.circuit != nil {
		v.Streams, v.RTT = s.circuit.Streams(), s.circuit.RTT()
		v.Sent, v.Received = s.circuit.Bytes()
	}
	return v
}
