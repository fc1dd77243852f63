package circuit

import (
	"fmt"

	"safing/port17/cell"
	"safing/tinker"
)

// An Error is why a circuit ended.
type Error struct {
	Reason cell.Reason
	// Hop is the index of the node at which it failed, 0 being the entry. It
	// is what the nodes before it say.
	Hop int
	// Retry is the node's newer descriptor, if it does not have the prekey that
	// its hello was made for. It may come from any node before it.
	Retry *tinker.RetryError
}

func (e *Error) Error() string {
	return fmt.Sprintf("the circuit ended at node %d: %s", e.Hop+1, e.Reason)
}
