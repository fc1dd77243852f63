package netmap

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"safing/internal/canonical"
	"safing/tinker"
)

// MaxKeys is the greatest length of signed keys, in bytes: what a node can send
// in a refusal (docs/spec/tinker.md).
const MaxKeys = tinker.MaxDescriptor

const maxPrekeys = 8

// ErrKeys means that keys are malformed or not signed by their node.
var ErrKeys = errors.New("keys are invalid")

// ErrNoKeys means that nothing is known of a node's keys.
var ErrNoKeys = errors.New("the node's keys are not known")

// Keys are a node's prekeys, which change while its descriptor stays. They are
// signed by the node, so that who hands them on can't read what is sent to it.
type Keys struct {
	ID        NodeID
	Binding   [32]byte // of the node's descriptor
	Prekeys   []tinker.Prekey
	Published time.Time // to the second

	signed []byte
}

// keysPrefix separates these signatures from others of the same key.
const keysPrefix = "port17 keys v1\x00"

type keysWire struct {
	ID        NodeID          `cbor:"1,keyasint"`
	Binding   [32]byte        `cbor:"2,keyasint"`
	Prekeys   []tinker.Prekey `cbor:"3,keyasint"`
	Published int64           `cbor:"4,keyasint"`
}

// Sign returns the keys' wire form: signature ‖ canonical CBOR. The key must be
// that of ID.
func (k *Keys) Sign(key ed25519.PrivateKey) ([]byte, error) {
	if err := k.validate(); err != nil {
		return nil, err
	}
	if id := NodeID(key.Public().(ed25519.PublicKey)); id != k.ID {
		return nil, fmt.Errorf("%w: they are of node %s and the key is of %s", ErrKeys, k.ID.Short(), id.Short())
	}
	body, err := canonical.Encode(keysWire{ID: k.ID, Binding: k.Binding, Prekeys: k.Prekeys, Published: k.Published.Unix()})
	if err != nil {
		return nil, fmt.Errorf("encode keys: %w", err)
	}
	if len(body)+ed25519.SignatureSize > MaxKeys {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrKeys, len(body), MaxKeys)
	}
	return append(ed25519.Sign(key, append([]byte(keysPrefix), body...)), body...), nil
}

// OpenKeys reads what Sign returned and verifies it. The bytes must not change
// afterwards. The error wraps [ErrKeys].
func OpenKeys(signed []byte) (*Keys, error) {
	if len(signed) < ed25519.SignatureSize || len(signed) > MaxKeys {
		return nil, fmt.Errorf("%w: %d bytes", ErrKeys, len(signed))
	}
	signature, body := signed[:ed25519.SignatureSize], signed[ed25519.SignatureSize:]
	var w keysWire
	if err := canonical.Decode(body, &w, maxItems); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	if !ed25519.Verify(w.ID[:], append([]byte(keysPrefix), body...), signature) {
		return nil, fmt.Errorf("%w: their signature is not that of node %s", ErrKeys, w.ID.Short())
	}
	for i, p := range w.Prekeys { // one copy is enough: many are kept
		if at := bytes.Index(body, p.Public); at >= 0 {
			w.Prekeys[i].Public = body[at : at+len(p.Public) : at+len(p.Public)]
		}
	}
	k := &Keys{ID: w.ID, Binding: w.Binding, Prekeys: w.Prekeys, Published: time.Unix(w.Published, 0).UTC(), signed: signed}
	return k, k.validate()
}

// Signed returns the keys as their node signed them; nil unless they were read.
func (k *Keys) Signed() []byte { return k.signed }

func (k *Keys) validate() error {
	if k.ID.IsZero() {
		return fmt.Errorf("%w: they are of no node", ErrKeys)
	}
	if len(k.Prekeys) > maxPrekeys {
		return fmt.Errorf("%w: there are %d, at most %d are allowed", ErrKeys, len(k.Prekeys), maxPrekeys)
	}
	return nil
}

// Prekey returns the newest prekey whose slot now is in.
func (k *Keys) Prekey(now time.Time) (tinker.Prekey, error) {
	err := errors.New("it has published none")
	for i := len(k.Prekeys) - 1; i >= 0; i-- {
		if err = k.Prekeys[i].Check(now); err == nil {
			return k.Prekeys[i], nil
		}
	}
	return tinker.Prekey{}, fmt.Errorf("no prekey of node %s can be used: %w", k.ID.Short(), err)
}
