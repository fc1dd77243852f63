package cell

import (
	"encoding/binary"
	"fmt"

	"safing/tinker"
)

const (
	// BurstCells is how many Create cells make a circuit on each link.
	BurstCells = 4
	// BurstSize is the length of their payloads together.
	BurstSize = BurstCells * PayloadSize
	// ParametersSize is the length of Parameters on the wire.
	ParametersSize = 34

	helloLength = 2
)

// Parameters are what a hop learns from the hello that is meant for it:
//
//	0      1          2                34
//	+------+----------+-----------------+
//	| role | position | next node's id  |
//	+------+----------+-----------------+
type Parameters struct {
	// Exit says that the circuit ends here. What follows the parameters are
	// frames then; otherwise it is the next node's hello.
	Exit bool
	// Position is the hop's place among the layers, from 0 to Positions-1.
	Position int
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
	copy(p.Next[:], b[2:ParametersSize])
	if p.Exit != (p.Next == [32]byte{}) {
		return p, nil, fmt.Errorf("read hop parameters: role %d does not fit the next node", b[0])
	}
	return p, b[ParametersSize:], nil
}

// HelloSize returns the length of the hello for a circuit's first hop when that
// is at the position. It is what a hello of suite TK1 in the midst of a longer
// circuit would have; each hop finds the hello for the next one behind its
// parameters.
func HelloSize(position int) int {
	return BurstSize - helloLength - position*(tinker.TK1.HelloOverhead()+ParametersSize)
}

// PutHello writes the length of a hello at the start of a burst and returns
// the place for the hello itself, and the one for padding behind it.
//
//	0        2                            BurstSize
//	+--------+------------------+-----------------+
//	| length | hello            | padding         |
//	+--------+------------------+-----------------+
func PutHello(burst []byte, size int) (hello, padding []byte) {
	binary.BigEndian.PutUint16(burst, uint16(size))
	return burst[helloLength : helloLength+size], burst[helloLength+size:]
}

// ParseHello returns the hello in a burst.
func ParseHello(burst []byte) ([]byte, error) {
	if len(burst) < helloLength {
		return nil, fmt.Errorf("read hello: burst of %d bytes", len(burst))
	}
	size := int(binary.BigEndian.Uint16(burst))
	if size > len(burst)-helloLength {
		return nil, fmt.Errorf("read hello: %d bytes do not fit a burst of %d", size, len(burst))
	}
	return burst[helloLength : helloLength+size], nil
}
