package client

import (
	"time"

	"safing/port17/circuit"
	"safing/port17/route"
	"safing/port17/shape"
)

// At the level extreme circuits are mixed with this delay at least, and padded
// with this shape if they are with no other. See docs/traffic-analysis.md.
const (
	extremeDelay = 50 * time.Millisecond
	extremeRate  = 32 // cells a second, constant
)

// cover says how the connection's circuit is mixed and padded.
func (c *Client) cover(r Request, l route.Level) circuit.Dialer {
	d := circuit.Dialer{Delay: max(r.Delay, c.config.Delay), Shape: r.Shape}
	if d.Shape.Kind == shape.None {
		d.Shape = c.config.Shape
	}
	if l < route.Extreme {
		return d
	}
	d.Delay = max(d.Delay, extremeDelay)
	if d.Shape.Kind == shape.None {
		d.Shape = shape.Shape{Kind: shape.Constant, Rate: extremeRate}
	}
	return d
}

// coverable requires nodes that offer what the circuit will ask them for.
func coverable(r *route.Requirements, cover circuit.Dialer) {
	r.Delay, r.Padding = max(r.Delay, cover.Delay), max(r.Padding, cover.Shape.Back().Rate)
}
