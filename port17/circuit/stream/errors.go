package stream

import (
	"safing/port17/cell"
)

// An Error is why a stream ended, when the exit or the destination ended it.
type Error struct {
	Reason cell.Reason
}

func (e *Error) Error() string { return "the stream ended: " + e.Reason.String() }

// errProtocol ends the circuit: the other end broke the protocol.
type errProtocol string

func (e errProtocol) Error() string { return "stream: " + string(e) }
