package netmap

import (
	"fmt"
	"time"

	"safing/tinker"
)

// Flags are what the authorities say about a node.
type Flags uint32

// Flags of a node.
const (
	// FlagTrusted marks nodes whose operators the authorities have examined.
	FlagTrusted Flags = 1 << iota
	// FlagBadExit marks exits that were seen to change or refuse what their
	// policy allows: they are not to be used as exits.
	FlagBadExit
)

// A Node is a member of the network.
type Node struct {
	*Descriptor
	Keys  *Keys // nil while they are not known
	Flags Flags
	// Measured is how many bytes a second the authorities have seen the node
	// move; 0 if they have not measured it.
	Measured uint64
}

// Prekey returns the newest prekey whose slot now is in. The error wraps
// [ErrNoKeys] if the node's keys are not known.
func (n Node) Prekey(now time.Time) (tinker.Prekey, error) {
	if n.Keys == nil {
		return tinker.Prekey{}, fmt.Errorf("no prekey of node %s: %w", n.ID.Short(), ErrNoKeys)
	}
	return n.Keys.Prekey(now)
}

// Recipient returns whom hellos for the node are made for, with its Prekey.
func (n Node) Recipient(now time.Time) (tinker.Recipient, error) {
	prekey, err := n.Prekey(now)
	if err != nil {
		return tinker.Recipient{}, err
	}
	return tinker.Recipient{Identity: n.ID, Binding: n.Binding(), Prekey: prekey}, nil
}
