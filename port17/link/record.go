package link

import (
	"fmt"

	"safing/port17/cell"
	"safing/tinker"
)

// A record is what is sealed at once:
//
//	0      1       2                                       2+17+4096·cells
//	+------+-------+----------------------------------------------+
//	| key  | cells | AEAD( type ‖ cell ‖ … ‖ cell ) ‖ tag           |
//	+------+-------+----------------------------------------------+
//
// Its header is not sealed, but both of its bytes decide how the rest opens:
// which key, and where the tag is.
const (
	recordHeader = 2
	// MaxCells is how many cells a record has at most.
	MaxCells = 16

	recordCells = 1 // the type inside the AEAD
)

// A block holds the longest record, and the header of the one behind it.
const _ = uint(len(cell.Block{}) - (recordHeader + MaxCells*cell.Size + tinker.LayerOverhead + recordHeader))

// Which key a record is sealed with.
const (
	keyEarly   = 0 // from the hello alone; initiators, before the reply
	keySession = 1 // from hello and reply
)

// parseRecord reads a record's header.
func parseRecord(header []byte) (key byte, size int, err error) {
	key, cells := header[0], int(header[1])
	if key > keySession || cells < 1 || cells > MaxCells {
		return 0, 0, fmt.Errorf("record with key %d and %d cells", key, cells)
	}
	return key, cells*cell.Size + tinker.LayerOverhead, nil
}
