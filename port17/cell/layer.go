package cell

// A Layer is the authenticated type of an onion layer.
type Layer uint8

const (
	// RelayLayer holds what the hop passes on.
	RelayLayer Layer = 1 + iota
	// LocalLayer holds frames for the hop itself, or from it.
	LocalLayer
	// DropLayer is padding that ends at the hop.
	DropLayer
)

const (
	// LayerOverhead is what a layer adds: its type and its tag.
	LayerOverhead = 17
	// Positions is how many layers fit: hops and the random offset of a
	// circuit's first hop together.
	Positions = 6
)

// LayerSize returns the length of the sealed layer in the payload of a cell
// between the hop at the position and its predecessor. A circuit's first hop
// has a random position; each further hop has the next.
//
//	payload at position p:   |<- LayerSize(p) ->|<- padding of the link's sender ->|
//	                         | type | content … | tag |
//	content at position p = sealed layer at position p+1
func LayerSize(position int) int { return PayloadSize - position*LayerOverhead }

// ContentSize returns the length of what the layer at the position holds.
func ContentSize(position int) int { return LayerSize(position) - LayerOverhead }
