package client

import (
	"net/netip"

	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/route"
	"safing/port17/shape"
)

// A Request says what a connection is for.
type Request struct {
	// Addr is the destination. Its port is always set; its address need not
	// be valid if there is a Host.
	Addr netip.AddrPort
	// Host is the destination's name. Where Addr has no address, the exit looks
	// the name up.
	Host string
	// App is the application; connections of two never share a circuit.
	App string
	// Isolation separates connections of one application in the same way.
	Isolation string
	// Level is how tough the route is; the client's if zero.
	Level route.Level
	// Country is where the destination is; empty if not known, or if Config.Geo
	// is to tell. Of a name that is where it was the last time.
	Country string
	// Shape is how the circuit is padded; the client's if none.
	Shape shape.Shape
	// Requirements are what the route has to fulfil. The Delay among them is had
	// at each node, or the client's if that is longer.
	route.Requirements
}

func (r Request) target() (cell.Target, error) {
	if r.Addr.Addr().IsValid() {
		t := cell.Target{Addr: r.Addr.Addr().Unmap().WithZone(""), Port: r.Addr.Port()}
		return t, t.Validate()
	}
	return cell.NewTarget(r.Host, r.Addr.Port())
}

// A group is connections that may share circuits.
type group struct {
	app, isolation string
	level          route.Level
	cover          circuit.Dialer
	directory      bool   // of the client\'s own streams to the directory
	ahead          uint64 // the number of a circuit that is not any group's yet
}

// A need is what a connection needs of a circuit.
type need struct {
	group   group
	target  cell.Target
	country string // of the destination, as far as the connection's request says
	request route.Request
}

func (c *Client) need(r Request, t cell.Target) need {
	level := max(r.Level, c.config.Level)
	cover := c.cover(r, level)
	coverable(&r.Requirements, cover)
	r.Unencrypted = r.Unencrypted || c.plain.expects(t)
	g := group{app: r.App, isolation: r.Isolation, level: level, cover: cover}
	at := c.where(g, t, r.Country)
	return need{
		group:   g,
		target:  t,
		country: r.Country,
		request: route.Request{
			Destination: netip.AddrPortFrom(t.Addr, t.Port), Country: at.country, ASN: at.asn, ExitRTT: c.memory.rtts(g, at),
			Level: level, Requirements: r.Requirements,
		},
	}
}
