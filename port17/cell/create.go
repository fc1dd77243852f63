package cell

import (
	"encoding/binary"
	"fmt"
	"time"

	"safing/port17/shape"
	"safing/tinker"
)

const (
	// LeastBurst is how many Create cells at least make a circuit on each link.
	// So many pass a TCP connection that has been idle without a round trip:
	// its first window is ten segments (RFC 6928).
	LeastBurst = 3
	// MostBurst is how many there are at most.
	MostBurst = 6
	// ParametersSize is the length of Parameters on the wire.
	ParametersSize = 39

	burstHeader = 3
)

// Parameters are what a hop learns from the hello that is meant for it:
//
//	0      1          2       4       5      7                39
//	+------+----------+-------+-------+------+-----------------+
//	| role | position | delay | shape | rate | next node's id  |
//	+------+----------+-------+-------+------+-----------------+
type Parameters struct {
	// Exit says that the circuit ends here. What follows the parameters are
	// frames then; otherwise it is the next node's hello.
	Exit bool
	// Position is the hop's place among the layers, from 0 to Positions-1.
	Position int
	// Delay is the mean of the delays of cells in each direction, to the
	// millisecond and up to [shape.MaxDelay]; 0 for none.
	Delay time.Duration
	// Padding is how the hop pads towards the origin: a shape that is nobody's
	// own.
	Padding shape.Shape
	// Next is the identity of the next node; zero for an exit.
	Next [32]byte
}

const (
	roleRelay = 1
	roleExit  = 2
)

// Append appends the parameters' wire form.
func (p Parameters) Append(b []byte) []byte {
	role := byte(roleRelay)
	if p.Exit {
		role = roleExit
	}
	b = append(b, role, byte(p.Position))
	b = binary.BigEndian.AppendUint16(b, uint16(p.Delay.Milliseconds()))
	b = append(b, byte(p.Padding.Kind))
	b = binary.BigEndian.AppendUint16(b, uint16(p.Padding.Rate))
	return append(b, p.Next[:]...)
}

// ParseParameters reads parameters and returns what follows them.
func ParseParameters(b []byte) (p Parameters, rest []byte, err error) {
	if len(b) < ParametersSize {
		return p, nil, fmt.Errorf("read hop parameters: %d bytes, want at least %d", len(b), ParametersSize)
	}
	switch b[0] {
	case roleRelay:
	case roleExit:
		p.Exit = true
	default:
		return p, nil, fmt.Errorf("read hop parameters: unknown role %d", b[0])
	}
	if b[1] >= Positions {
		return p, nil, fmt.Errorf("read hop parameters: position %d, want below %d", b[1], Positions)
	}
	p.Position = int(b[1])
	p.Delay = time.Duration(binary.BigEndian.Uint16(b[2:])) * time.Millisecond
	if p.Delay > shape.MaxDelay {
		return p, nil, fmt.Errorf("read hop parameters: delays of %s, want up to %s", p.Delay, shape.MaxDelay)
	}
	p.Padding = shape.Shape{Kind: shape.Kind(b[4]), Rate: int(binary.BigEndian.Uint16(b[5:]))}
	if err := p.Padding.Validate(); err != nil {
		return p, nil, fmt.Errorf("read hop parameters: %w", err)
	}
	copy(p.Next[:], b[7:ParametersSize])
	if p.Exit != (p.Next == [32]byte{}) {
		return p, nil, fmt.Errorf("read hop parameters: role %d does not fit the next node", b[0])
	}
	return p, b[ParametersSize:], nil
}

// HelloSize returns the length of the hello for a circuit's first hop when that
// is at the position, in a burst of so many cells. It is what a hello of suite
// TK1 in the midst of a longer circuit would have; each hop finds the hello for
// the next one behind its parameters.
func HelloSize(cells, position int) int {
	return cells*PayloadSize - burstHeader - position*(tinker.TK1.HelloOverhead()+ParametersSize)
}

// PutHello begins the payloads of a burst, put one behind the other, and
// returns the place for the hello, and the one for padding behind it.
//
//	0       1        3                        cells·PayloadSize
//	+-------+--------+------------------+---------------------+
//	| cells | length | hello            | padding             |
//	+-------+--------+------------------+---------------------+
func PutHello(burst []byte, size int) (hello, padding []byte) {
	burst[0] = byte(len(burst) / PayloadSize)
	binary.BigEndian.PutUint16(burst[1:], uint16(size))
	return burst[burstHeader : burstHeader+size], burst[burstHeader+size:]
}

// ParseBurst returns how long a burst is that begins with the payload.
func ParseBurst(payload []byte) (size int, err error) {
	if len(payload) == 0 || payload[0] < LeastBurst || payload[0] > MostBurst {
		return 0, fmt.Errorf("read burst: want %d to %d cells", LeastBurst, MostBurst)
	}
	return int(payload[0]) * PayloadSize, nil
}

// ParseHello returns the hello in a burst.
func ParseHello(burst []byte) ([]byte, error) {
	if len(burst) < burstHeader {
		return nil, fmt.Errorf("read hello: burst of %d bytes", len(burst))
	}
	size := int(binary.BigEndian.Uint16(burst[1:]))
	if size > len(burst)-burstHeader {
		return nil, fmt.Errorf("read hello: %d bytes do not fit a burst of %d", size, len(burst))
	}
	return burst[burstHeader : burstHeader+size], nil
}
