package shape

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxRate is the greatest rate of a shape, in cells a second.
const MaxRate = 1000

// MaxDelay is the greatest mean of a hop's delays.
const MaxDelay = 10 * time.Second

// A Kind says which of the shapes it is. It travels as one byte.
type Kind uint8

// Kinds.
const (
	// None: no padding.
	None Kind = iota
	// Constant: as many cells in every second, be they padding or not.
	Constant
	// Light: adaptive padding of few gaps.
	Light
	// Heavy: adaptive padding of most gaps, with long bursts that are nothing
	// but padding.
	Heavy
	// Own: adaptive padding by a machine of the user's own. It has no number
	// that nodes know.
	Own
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case None:
		return "none"
	case Constant:
		return "constant"
	case Light:
		return "light"
	case Heavy:
		return "heavy"
	case Own:
		return "own"
	}
	return fmt.Sprintf("shape %d", uint8(k))
}

// A Shape is how a circuit is padded. The zero value is no padding. Shapes can be
// compared.
type Shape struct {
	Kind Kind
	// Rate is how many cells leave in a second if it is constant, and else how
	// many of padding at most: 1 to MaxRate, 0 without padding.
	Rate int
	// Machine is what an Own shape does; zero for others.
	Machine Machine
}

// Rates of shapes that name none.
const (
	constantRate = 32
	lightRate    = 32
	heavyRate    = 64
)

// Parse reads a shape's text: none, constant, light or heavy, with a rate behind
// a colon such as "constant:50" or without; or "own:RATE;" and a [Machine].
func Parse(text string) (Shape, error) {
	name, machine, own := strings.Cut(text, ";")
	name, rate, rated := strings.Cut(name, ":")
	var s Shape
	switch name {
	case "", "none":
	case "constant":
		s = Shape{Kind: Constant, Rate: constantRate}
	case "light":
		s = Shape{Kind: Light, Rate: lightRate}
	case "heavy":
		s = Shape{Kind: Heavy, Rate: heavyRate}
	case "own":
		s = Shape{Kind: Own, Rate: heavyRate}
	default:
		return Shape{}, fmt.Errorf("unknown shape %q: use none, constant:RATE, light or heavy", name)
	}
	if rated {
		n, err := strconv.ParseUint(rate, 10, 16)
		if err != nil {
			return Shape{}, fmt.Errorf("shape %q: its rate is no number from 1 to %d", text, MaxRate)
		}
		s.Rate = int(n)
	}
	if own != (s.Kind == Own) {
		return Shape{}, fmt.Errorf(`shape %q: a machine belongs to "own", and only to that`, text)
	}
	if own {
		var err error
		if s.Machine, err = ParseMachine(machine); err != nil {
			return Shape{}, err
		}
	}
	return s, s.Validate()
}

// Validate checks the shape's bounds.
func (s Shape) Validate() error {
	switch {
	case s.Kind > Own:
		return fmt.Errorf("unknown %s", s.Kind)
	case s.Kind == None && s.Rate != 0:
		return fmt.Errorf("shape none has a rate of %d cells a second: leave the rate out", s.Rate)
	case s.Kind != None && (s.Rate < 1 || s.Rate > MaxRate):
		return fmt.Errorf("shape %s has a rate of %d cells a second, want 1 to %d", s.Kind, s.Rate, MaxRate)
	case s.Kind != Own && s.Machine != Machine{}:
		return fmt.Errorf("shape %s has a machine: only own has one", s.Kind)
	case s.Kind == Own:
		return s.Machine.validate()
	}
	return nil
}

// Back returns the shape with which a node pads towards the origin: the same,
// unless that is one of the user's own, of which nodes know nothing.
func (s Shape) Back() Shape {
	if s.Kind == Own {
		return Shape{}
	}
	return s
}

// String returns the text that Parse reads.
func (s Shape) String() string {
	switch s.Kind {
	case None:
		return "none"
	case Own:
		return fmt.Sprintf("own:%d;%s", s.Rate, s.Machine)
	}
	return fmt.Sprintf("%s:%d", s.Kind, s.Rate)
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Shape) UnmarshalText(text []byte) (err error) {
	*s, err = Parse(string(text))
	return err
}

// MarshalText implements encoding.TextMarshaler.
func (s Shape) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// interval is the time between two cells at the rate.
func (s Shape) interval() time.Duration { return time.Second / time.Duration(s.Rate) }

// machine is what an adaptive shape does.
func (s Shape) machine() Machine {
	switch s.Kind {
	case Light:
		return light
	case Heavy:
		return heavy
	}
	return s.Machine
}
