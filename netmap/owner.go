package netmap

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
)

// ErrOwner means that a text is not an owner's key, or not the proof of one.
var ErrOwner = errors.New("not an owner's")

// An OwnerKey is the public half of the Ed25519 key of who runs nodes.
type OwnerKey [ed25519.PublicKeySize]byte

// String returns 52 characters of lower-case base32; "" for no key.
func (k OwnerKey) String() string { return textOrNone(k[:]) }

// MarshalText implements encoding.TextMarshaler.
func (k OwnerKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what String returns. The error wraps [ErrOwner].
func (k *OwnerKey) UnmarshalText(text []byte) error {
	*k = OwnerKey{}
	return parseOwner(k[:], "key", text)
}

// An OwnerProof is what [SignOwner] returns.
type OwnerProof [ed25519.SignatureSize]byte

// String returns 103 characters of lower-case base32; "" for no proof.
func (p OwnerProof) String() string { return textOrNone(p[:]) }

// MarshalText implements encoding.TextMarshaler.
func (p OwnerProof) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what String returns. The error wraps [ErrOwner].
func (p *OwnerProof) UnmarshalText(text []byte) error {
	*p = OwnerProof{}
	return parseOwner(p[:], "proof", text)
}

func textOrNone(b []byte) string {
	if bytesOrNone(b) == nil {
		return ""
	}
	return strings.ToLower(encoding.EncodeToString(b))
}

// parseOwner has one form for each value: none has bits left over.
func parseOwner(to []byte, what string, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	b, err := encoding.DecodeString(strings.ToUpper(string(text)))
	if err != nil || len(b) != len(to) || encoding.EncodeToString(b) != strings.ToUpper(string(text)) {
		return fmt.Errorf("%w %s: %.110q has not the form of %d letters and digits", ErrOwner, what, text, encoding.EncodedLen(len(to)))
	}
	copy(to, b)
	return nil
}

// ownerPrefix separates these signatures from others of the same key.
const ownerPrefix = "port17 owner v1\x00"

// SignOwner proves with the owner's key that the node and its group are the
// owner's. It returns a descriptor's OwnerProof.
func SignOwner(key ed25519.PrivateKey, id NodeID, group string) (proof [ed25519.SignatureSize]byte) {
	copy(proof[:], ed25519.Sign(key, ownerText(id, group)))
	return proof
}

func ownerText(id NodeID, group string) []byte {
	return append(append([]byte(ownerPrefix), id[:]...), group...)
}

// CheckOwner says whether the proof is of the owner's key, the node and its
// group. The error wraps [ErrOwner].
func CheckOwner(key OwnerKey, proof OwnerProof, id NodeID, group string) error {
	if !ed25519.Verify(key[:], ownerText(id, group), proof[:]) {
		return fmt.Errorf("%w proof: its owner's key has not signed for node %s in group %q", ErrOwner, id.Short(), group)
	}
	return nil
}

// validateOwner checks that the owner's key is proven if there is one.
func (d *Descriptor) validateOwner() error {
	hasKey, hasProof := d.OwnerKey != [ed25519.PublicKeySize]byte{}, d.OwnerProof != [ed25519.SignatureSize]byte{}
	if hasKey != hasProof {
		return fmt.Errorf("%w: of its owner's key and the proof of it there is only one", ErrDescriptor)
	}
	if !hasKey {
		return nil
	}
	if err := CheckOwner(d.OwnerKey, d.OwnerProof, d.ID, d.Group); err != nil {
		return fmt.Errorf("%w: %w", ErrDescriptor, err)
	}
	return nil
}
