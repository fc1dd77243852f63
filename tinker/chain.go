package tinker

import (
	"crypto/cipher"
	"crypto/hmac"
	"encoding/binary"
	"time"
)

const (
	// LayerOverhead is what a sealed message is longer than its content: a
	// type byte before it and a tag behind it.
	LayerOverhead = 1 + tagSize
	// MaxType is the highest type of a message.
	MaxType = 0x3f

	stepUnits = 64               // a message key is used for as many units
	unitSize  = 4096             // bytes of a message that count as one unit
	stepTime  = 10 * time.Second // and for as long

	// Flags in the type byte say what the sender does after this message.
	typeStep    = 0x80 // the chain goes on to its next message key
	typeRatchet = 0x40 // the chain of the next root begins

	nonceSize = 12
	maxHash   = 48 // bytes of a suite's hash
)

// A chain is one direction of the symmetric ratchet (docs/spec/tinker.md#chain).
// Both ends hold the same chain and step it at the same messages.
type chain struct {
	suite   *suite
	purpose []byte // of its keys: suite and transcript
	key     []byte // chain key; the message keys of the past don't follow from it
	aead    cipher.AEAD
	nonce   [nonceSize]byte
	count   uint64 // messages under this message key
	units   int    // size of the messages under this message key
	bytes   uint64 // size of the messages in this chain
}

// newChain takes the secret over.
func newChain(s *suite, secret []byte, th [32]byte) (*chain, error) {
	c := &chain{suite: s, purpose: []byte(s.purpose("tinker chain v1", th)), key: secret}
	if err := c.derive(); err != nil {
		return nil, err
	}
	return c, nil
}

// step goes on to the next message key. What could fail has already worked in
// newChain, with inputs of the same sizes.
func (c *chain) step() {
	if err := c.derive(); err != nil {
		panic("tinker: step the chain: " + err.Error())
	}
}

// derive makes the next message key and chain key, and forgets the last ones.
func (c *chain) derive() (err error) {
	var key, next [maxHash]byte
	m := hmac.New(c.suite.hash, c.key)
	for i, out := range [][]byte{key[:0], next[:0]} {
		m.Reset()
		m.Write([]byte{byte(1 + i)})
		m.Write(c.purpose)
		m.Sum(out)
	}
	c.aead, err = c.suite.newAEAD(key[:aeadKeySize])
	copy(c.key, next[:])
	clear(key[:])
	clear(next[:])
	c.count, c.units = 0, 0
	return err
}

// erase forgets the keys.
func (c *chain) erase() {
	clear(c.key)
	c.aead = nil
}

// next is the nonce of the next message: the counter is never sent.
func (c *chain) next() []byte {
	c.nonceAt(0, &c.nonce)
	return c.nonce[:]
}

// nonceAt writes the nonce of the message that is ahead messages after the
// next one. The message key must still be the same there.
func (c *chain) nonceAt(ahead int, nonce *[nonceSize]byte) {
	binary.BigEndian.PutUint64(nonce[nonceSize-8:], c.count+uint64(ahead))
}

// left is how many messages of one unit the message key still takes.
func (c *chain) left() int { return stepUnits - c.units }

// used counts a message of size bytes. It steps the chain when the message key
// is used up or the message's type says so, and reports that.
func (c *chain) used(size int, typ byte) bool {
	c.count++
	c.bytes += uint64(size)
	c.units += max(1, (size+unitSize-1)/unitSize)
	if c.units < stepUnits && typ&typeStep == 0 {
		return false
	}
	c.step()
	return true
}
