package cell

import "fmt"

// A Reason says why a circuit was destroyed or a stream was reset. It travels
// as one byte. Its text is for users: it completes "the circuit ended: …" and
// "the stream ended: …".
type Reason uint8

// Reasons for which circuits end.
const (
	// Finished: the origin has no more use for the circuit.
	Finished Reason = 1 + iota
	// Protocol: the peer sent what the protocol does not allow.
	Protocol
	// Altered: a cell did not open with the circuit's key.
	Altered
	// QueueFull: the circuit had more cells waiting than its queue holds.
	QueueFull
	// OutOfMemory: the node ran out of its memory and this circuit held most.
	OutOfMemory
	// Busy: the node has as many handshakes or circuits as it takes.
	Busy
	// LinkBroken: the connection between two nodes of the circuit broke.
	LinkBroken
	// NoLink: the node has no link to the node named as the next.
	NoLink
	// UnknownPrekey: the hello was made for a prekey that the node does not have.
	UnknownPrekey
	// Replayed: the node has seen the hello before.
	Replayed
	// BadHello: the hello did not open.
	BadHello
	// ShuttingDown: the node stops.
	ShuttingDown
	// Expired: the circuit has reached the age at which nodes end circuits.
	Expired
	// NotOffered: the circuit asks for more delay or padding than the node
	// offers.
	NotOffered
	// Exhausted: the node has moved what it may in a month.
	Exhausted

	endCircuit // the first number that is no circuit's reason
)

// Reasons for which streams end.
const (
	// Policy: the exit's policy does not allow the destination.
	Policy Reason = 64 + iota
	// NoSuchName: the name has no address.
	NoSuchName
	// Refused: the destination refused the connection.
	Refused
	// Unreachable: there is no way from the exit to the destination.
	Unreachable
	// TimedOut: the destination did not answer in time.
	TimedOut
	// ConnectionReset: the destination ended the connection abruptly.
	ConnectionReset
	// TooManyStreams: the circuit has as many streams as the exit takes.
	TooManyStreams
	// BadTarget: the target's host or port cannot be connected to.
	BadTarget
	// Failed: the exit could not serve the stream for another reason.
	Failed
	// Idle: no datagram has passed for a while.
	Idle
	// ExitFull: the exit has as many connections, associations or lookups of
	// names as it makes.
	ExitFull
	// TooFast: the circuit makes connections faster than the exit allows.
	TooFast
	// Crowded: through this exit, connections to the destination are made faster
	// than it allows.
	Crowded

	endStream // the first number that is no reason
)

// Known says whether the reason is one of those above. What others send may be
// any other.
func (r Reason) Known() bool {
	return r >= Finished && r < endCircuit || r >= Policy && r < endStream
}

func (r Reason) String() string {
	switch r {
	case Finished:
		return "it was closed"
	case Protocol:
		return "the protocol was broken"
	case Altered:
		return "a cell was altered on its way"
	case QueueFull:
		return "a node's queue for it was full"
	case OutOfMemory:
		return "a node was out of memory"
	case Busy:
		return "a node takes no more circuits at the moment"
	case LinkBroken:
		return "the link between two nodes broke"
	case NoLink:
		return "a node has no link to the next one"
	case UnknownPrekey:
		return "a node does not know the prekey it was asked with"
	case Replayed:
		return "a node has seen the same hello before"
	case BadHello:
		return "a node could not read the hello"
	case ShuttingDown:
		return "a node shuts down"
	case Expired:
		return "it has reached its greatest age"
	case Exhausted:
		return "a node has used up its volume of the month"
	case NotOffered:
		return "a node offers less delay or padding than it was asked for"
	}
	return r.streamText()
}

func (r Reason) streamText() string {
	switch r {
	case Policy:
		return "the exit's policy does not allow the destination"
	case NoSuchName:
		return "the name has no address"
	case Refused:
		return "the destination refused the connection"
	case Unreachable:
		return "the destination cannot be reached from the exit"
	case TimedOut:
		return "the destination did not answer in time"
	case ConnectionReset:
		return "the destination reset the connection"
	case TooManyStreams:
		return "the circuit has too many streams"
	case BadTarget:
		return "the destination is no host and port that can be connected to"
	case Failed:
		return "the exit could not connect"
	case Idle:
		return "no datagram has passed for a while"
	case ExitFull:
		return "the exit makes no more connections at the moment"
	case TooFast:
		return "the circuit makes connections faster than the exit allows"
	case Crowded:
		return "too many connect to the destination through this exit at the moment"
	}
	return fmt.Sprintf("reason %d", uint8(r))
}
