package netmap

import (
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
)

// A NodeID is a node's Ed25519 public key.
type NodeID [32]byte

var (
	encoding = base32.StdEncoding.WithPadding(base32.NoPadding)
	// ErrNodeID means that a text is not a node's identity.
	ErrNodeID = errors.New("not a node's identity")
)

// String returns 52 characters of lower-case base32.
func (id NodeID) String() string { return strings.ToLower(encoding.EncodeToString(id[:])) }

// Short returns the first 8 characters of the identity, for people to read.
func (id NodeID) Short() string { return id.String()[:8] }

// IsZero says whether this is nobody's identity.
func (id NodeID) IsZero() bool { return id == NodeID{} }

// ParseNodeID reads what String returns. The error wraps [ErrNodeID].
func ParseNodeID(s string) (NodeID, error) {
	b, err := encoding.DecodeString(strings.ToUpper(s))
	if err != nil || len(b) != len(NodeID{}) {
		return NodeID{}, fmt.Errorf("%w: %q has not the form of 52 letters and digits", ErrNodeID, s)
	}
	return NodeID(b), nil
}

// MarshalText implements encoding.TextMarshaler.
func (id NodeID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *NodeID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseNodeID(string(text))
	return err
}
