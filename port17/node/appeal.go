package node

import (
	"fmt"

	"safing/netmap"
)

// SetAppeal changes the operator's answer to what authorities say of the node,
// and publishes it; "" for none. The error is that of [netmap.CheckAppeal].
func (n *Node) SetAppeal(text string) error {
	if err := netmap.CheckAppeal(text); err != nil {
		return fmt.Errorf("set the appeal: %w", err)
	}
	n.mu.Lock()
	n.appeal = text
	n.mu.Unlock()
	n.touch()
	return nil
}
