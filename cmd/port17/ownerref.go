package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strconv"

	"safing/internal/command"
	"safing/netmap"
)

// An ownerRef is an owner's public key, or the file of the whole key.
type ownerRef struct {
	key  netmap.OwnerKey
	file string // "" if it is the key
}

// UnmarshalText takes what is not a key for a file.
func (r *ownerRef) UnmarshalText(text []byte) error {
	*r = ownerRef{}
	if err := r.key.UnmarshalText(text); err != nil {
		r.file = string(text)
	}
	return nil
}

// String returns the key; "" for none.
func (r ownerRef) String() string { return r.key.String() }

// public refuses files: a running node needs no secret of its owner.
func (r ownerRef) public() (netmap.OwnerKey, error) {
	if r.file == "" {
		return r.key, nil
	}
	return r.key, r.key.UnmarshalText([]byte(r.file))
}

// find returns the public key, from its file if it is in one.
func (r ownerRef) find(ctx context.Context, io command.IO, p passphraseFile) (netmap.OwnerKey, error) {
	if r.file == "" {
		return r.key, nil
	}
	key, _, err := p.loadOwner(ctx, io, r.file)
	if err != nil {
		return netmap.OwnerKey{}, err
	}
	return ownerKey(key), nil
}

// checkOwner checks the proof of the owner's key before the node starts.
func (o *nodeOptions) checkOwner(key ed25519.PrivateKey) error {
	hasKey, hasProof := o.OwnerKey != ownerRef{}, o.OwnerProof != netmap.OwnerProof{}
	if !hasKey && !hasProof {
		return nil
	}
	id := netmap.NodeID(key.Public().(ed25519.PublicKey))
	err := errors.New("of owner_key and owner_proof only one is set")
	if hasKey && hasProof {
		err = netmap.CheckOwner(o.OwnerKey.key, o.OwnerProof, id, o.Group)
	}
	if err != nil {
		return fmt.Errorf("%w: set what %s prints", err, signCommand(id, o.Group))
	}
	return nil
}

// signCommand is what an owner has to do for a node.
func signCommand(id netmap.NodeID, group string) string {
	text := "port17 owner sign " + id.String()
	if group != "" {
		text += " --group " + strconv.Quote(group)
	}
	return text + " --owner-key FILE"
}
