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
// which key, and where the tag is. The last record under the early key has no
// cells: were it or one before it lost, those under the session's key would not
// be taken.
const (
	recordHeader = 2
	// MaxCells is how many cells a record has at most.
	MaxCells = 16
	// MaxRecord is how many bytes a record has at most.
	MaxRecord = recordHeader + MaxCells*cell.Size + tinker.LayerOverhead

	recordCells = 1 // the types inside the AEAD
	recordEnd   = 2 // of what comes under the early key
)

// A block holds the longest record, with the end of those under the early key
// before it, or the header of the one behind it.
const _ = uint(len(cell.Block{}) - 2*(recordHeader+tinker.LayerOverhead) - MaxCells*cell.Size)

// Which key a record is sealed with.
const (
	keyEarly   = 0 // from the hello alone; initiators, before the reply
	keySession = 1 // from hello and reply
)

// parseRecord reads a record's header.
func parseRecord(header []byte) (key byte, size int, err error) {
	key, cells := header[0], int(header[1])
	if key > keySession || cells > MaxCells || cells < 1 && key != keyEarly {
		return 0, 0, fmt.Errorf("record with key %d and %d cells", key, cells)
	}
	return key, cells*cell.Size + tinker.LayerOverhead, nil
}
