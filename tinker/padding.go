package tinker

import (
	crand "crypto/rand"
	"math/rand/v2"
)

// Padding fills what layers leave of a cell, so that it does not tell the
// position of its sender. It is not safe for concurrent use.
type Padding struct{ source *rand.ChaCha8 }

// NewPadding returns a generator with a random seed.
func NewPadding() *Padding {
	var seed [32]byte
	crand.Read(seed[:]) // never fails
	return &Padding{rand.NewChaCha8(seed)}
}

// Fill overwrites b.
func (p *Padding) Fill(b []byte) { p.source.Read(b) }
