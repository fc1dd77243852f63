package cell

import "safing/tinker"

// Positions is how many layers fit: hops and the random offset of a circuit's
// first hop together.
const Positions = 6

// LayerSize returns the length of the sealed layer in the payload of a cell
// between the hop at the position and its predecessor.
func LayerSize(position int) int { return tinker.LayerSize(PayloadSize, position) }

// ContentSize returns the length of what the layer at the position holds.
func ContentSize(position int) int { return tinker.ContentSize(PayloadSize, position) }
