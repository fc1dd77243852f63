package netmap

import (
	"crypto/ed25519"
	"fmt"
)

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

// validateOwner checks that the owner's key is proven if there is one.
func (d *Descriptor) validateOwner() error {
	hasKey, hasProof := d.OwnerKey != [ed25519.PublicKeySize]byte{}, d.OwnerProof != [ed25519.SignatureSize]byte{}
	if hasKey != hasProof {
		return fmt.Errorf("%w: of its owner's key and the proof of it there is only one", ErrDescriptor)
	}
	if hasKey && !ed25519.Verify(d.OwnerKey[:], ownerText(d.ID, d.Group), d.OwnerProof[:]) {
		return fmt.Errorf("%w: its owner's key has not signed for node %s in group %q", ErrDescriptor, d.ID.Short(), d.Group)
	}
	return nil
}
