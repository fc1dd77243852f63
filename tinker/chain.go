package tinker

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

const (
	// LayerOverhead is what a sealed message is longer than its content: a
	// type byte before it and a tag behind it.
	LayerOverhead = 1 + tagSize

	stepUnits = 64               // a key is used for as many units
	unitSize  = 4096             // bytes of a message that count as one unit
	stepTime  = 10 * time.Second // and for as long

	typeStep  = 0x80 // flag in the type byte: the sender steps after this message
	nonceSize = 12
)

// A chain is one direction of the symmetric ratchet (docs/spec/tinker.md#chain).
// Both ends hold the same chain and step it at the same messages.
type chain struct {
	suite *suite
	th    [32]byte
	key   [32]byte // chain key; the message keys of the past don't follow from it
	aead  cipher.AEAD
	iv    [nonceSize]byte
	nonce [nonceSize]byte
	count uint64 // messages under this key
	units int    // size of the messages under this key
}

func (c *chain) init(s *suite, secret []byte, th [32]byte) error {
	c.suite, c.th = s, th
	copy(c.key[:], secret)
	clear(secret)
	return c.derive()
}

// step goes on to the next message key. What could fail has already worked in
// init, with inputs of the same sizes.
func (c *chain) step() {
	if err := c.derive(); err != nil {
		panic("tinker: step the chain: " + err.Error())
	}
}

// derive makes the next message key and forgets the last one.
func (c *chain) derive() error {
	mk := prf(c.key[:], 1)
	next := prf(c.key[:], 2)
	copy(c.key[:], next)
	clear(next)
	material, err := expand(c.suite, mk, "tinker message v1", c.th, 32+nonceSize)
	clear(mk)
	if err != nil {
		return err
	}
	defer clear(material)
	c.aead, err = c.suite.newAEAD(material[:32])
	copy(c.iv[:], material[32:])
	c.count, c.units = 0, 0
	return err
}

// prf is HMAC-SHA256 of one byte.
func prf(key []byte, b byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte{b})
	return m.Sum(nil)
}

// next is the nonce of the next message: the counter is never sent.
func (c *chain) next() []byte {
	copy(c.nonce[:], c.iv[:])
	low := c.nonce[nonceSize-8:]
	binary.BigEndian.PutUint64(low, binary.BigEndian.Uint64(low)^c.count)
	return c.nonce[:]
}

// used counts a message of size bytes. It steps the chain when the key is used
// up or the message's type says so, and reports that.
func (c *chain) used(size int, typ byte) bool {
	c.count++
	c.units += max(1, (size+unitSize-1)/unitSize)
	if c.units < stepUnits && typ&typeStep == 0 {
		return false
	}
	c.step()
	return true
}
