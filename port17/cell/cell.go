package cell

import (
	"encoding/binary"
)

const (
	// Size of every cell, in bytes. It is a parameter of the network.
	Size = 4096
	// HeaderSize is what a cell has before its payload.
	HeaderSize = 5
	// PayloadSize is what a cell has after its header.
	PayloadSize = Size - HeaderSize
)

// A Command says what a cell is for. See docs/spec/port17.md#cells.
type Command uint8

const (
	// Padding is dropped by whoever gets it. Circuit 0.
	Padding Command = iota
	// Create is one of the cells of a burst that creates a circuit.
	Create
	// Created carries a node's reply to the hello meant for it.
	Created
	// Relay carries an onion.
	Relay
	// Destroy ends a circuit in the direction it travels.
	Destroy
	// Ping asks for a Pong with the same token. Circuit 0.
	Ping
	// Pong answers a Ping. Circuit 0.
	Pong
	// Auth proves which node has initiated the link. Circuit 0.
	Auth
	// Step carries a message of the ratchet that renews the link's keys.
	// Circuit 0.
	Step
)

// A Header is what stands before a cell's payload:
//
//	0               4         5                            4096
//	+---------------+---------+-------------------------------+
//	| circuit       | command | payload                       |
//	+---------------+---------+-------------------------------+
type Header struct {
	// Circuit is the circuit's number on this link; 0 is the link itself.
	Circuit uint32
	Command Command
}

// ByResponder is the bit that is set in the numbers of circuits which the
// responder of a link created. The initiator's have it clear.
const ByResponder uint32 = 1 << 31

// Put writes the header at the start of a cell.
func (h Header) Put(cell []byte) {
	_ = cell[HeaderSize-1]
	binary.BigEndian.PutUint32(cell, h.Circuit)
	cell[4] = byte(h.Command)
}

// ParseHeader reads the header of a cell, which must have HeaderSize bytes.
func ParseHeader(cell []byte) Header {
	_ = cell[HeaderSize-1]
	return Header{Circuit: binary.BigEndian.Uint32(cell), Command: Command(cell[4])}
}

// PutDestroy writes the payload of a Destroy cell: the reason, and how many
// hops lie between the reader and the node at which the circuit failed. Each
// node adds one when it passes a Destroy cell backwards.
func PutDestroy(payload []byte, r Reason, distance uint8) {
	payload[0], payload[1] = byte(r), distance
}

// ParseDestroy reads the payload of a Destroy cell.
func ParseDestroy(payload []byte) (r Reason, distance uint8) {
	if len(payload) < 2 {
		return Protocol, 0
	}
	return Reason(payload[0]), payload[1]
}
