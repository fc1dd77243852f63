package cell

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A FrameType says what a frame does. See docs/spec/port17.md#frames.
type FrameType uint8

const (
	// EndOfFrames: the rest of the content is zeros.
	EndOfFrames FrameType = iota
	// OpenFrame asks the exit to connect a new stream to a target.
	OpenFrame
	// OpenedFrame says that the exit has connected the stream.
	OpenedFrame
	// DataFrame carries bytes of a stream.
	DataFrame
	// EndFrame says that its sender sends nothing more on the stream.
	EndFrame
	// ResetFrame ends both directions of the stream.
	ResetFrame
	// StopFrame says that its sender reads nothing more from the stream.
	StopFrame
	// WindowFrame says up to which byte of the stream its reader may send.
	WindowFrame
	// AckFrame says how many cells of the circuit its sender has received.
	AckFrame
)

const (
	// DataOverhead is what a DataFrame adds to its bytes.
	DataOverhead = 7
	// MaxControlFrame is the greatest length of a frame but OPEN and DATA.
	MaxControlFrame = 13

	streamHeader = 5 // type and stream
)

// A Frame is one message between the ends of a circuit.
//
//	OPEN    type ‖ stream(4) ‖ length(2) ‖ target
//	OPENED  type ‖ stream(4) ‖ length(1) ‖ network
//	DATA    type ‖ stream(4) ‖ length(2) ‖ bytes
//	END     type ‖ stream(4)
//	RESET   type ‖ stream(4) ‖ reason(1)
//	STOP    type ‖ stream(4)
//	WINDOW  type ‖ stream(4) ‖ offset(8)
//	ACK     type ‖ cells(8)
type Frame struct {
	Type   FrameType
	Stream uint32
	Reason Reason // of a RESET
	Value  uint64 // offset of a WINDOW, cells of an ACK
	// Data is the bytes of DATA, the target of OPEN, and the network of OPENED, of
	// [NetworkOf]. It points into the cell.
	Data []byte
}

var errFrame = errors.New("read frame: cut short")

// NextFrame reads the first frame of content and returns what follows it.
// When there is none, the frame's type is EndOfFrames.
func NextFrame(content []byte) (f Frame, rest []byte, err error) {
	if len(content) == 0 || content[0] == byte(EndOfFrames) {
		return Frame{}, nil, nil
	}
	f.Type = FrameType(content[0])
	if f.Type == AckFrame {
		if len(content) < 9 {
			return f, nil, errFrame
		}
		f.Value = binary.BigEndian.Uint64(content[1:])
		return f, content[9:], nil
	}
	if len(content) < streamHeader {
		return f, nil, errFrame
	}
	f.Stream = binary.BigEndian.Uint32(content[1:])
	rest = content[streamHeader:]
	switch f.Type {
	case OpenedFrame:
		return opened(f, rest)
	case EndFrame, StopFrame:
		return f, rest, nil
	case OpenFrame, DataFrame:
		return sized(f, rest)
	case ResetFrame:
		if len(rest) < 1 {
			return f, nil, errFrame
		}
		f.Reason = Reason(rest[0])
		return f, rest[1:], nil
	case WindowFrame:
		if len(rest) < 8 {
			return f, nil, errFrame
		}
		f.Value = binary.BigEndian.Uint64(rest)
		return f, rest[8:], nil
	}
	return f, nil, fmt.Errorf("read frame: unknown type %d", f.Type)
}

func sized(f Frame, rest []byte) (Frame, []byte, error) {
	if len(rest) < 2 {
		return f, nil, errFrame
	}
	n := int(binary.BigEndian.Uint16(rest))
	rest = rest[2:]
	if n > len(rest) {
		return f, nil, errFrame
	}
	f.Data = rest[:n:n]
	return f, rest[n:], nil
}

func opened(f Frame, rest []byte) (Frame, []byte, error) {
	if len(rest) < 1 {
		return f, nil, errFrame
	}
	n := int(rest[0])
	rest = rest[1:]
	switch {
	case n == 0:
		return f, rest, nil
	case n != network4 && n != network6:
		return f, nil, fmt.Errorf("read frame: network of %d bytes", n)
	case n > len(rest):
		return f, nil, errFrame
	}
	f.Data = rest[:n:n]
	return f, rest[n:], nil
}

// Append appends the frame's wire form. Data may have at most 65535 bytes, and is
// of [NetworkOf] in an OPENED.
func (f Frame) Append(b []byte) []byte {
	b = append(b, byte(f.Type))
	if f.Type == AckFrame {
		return binary.BigEndian.AppendUint64(b, f.Value)
	}
	b = binary.BigEndian.AppendUint32(b, f.Stream)
	switch f.Type {
	case OpenedFrame:
		b = append(b, byte(len(f.Data)))
		b = append(b, f.Data...)
	case OpenFrame, DataFrame:
		b = binary.BigEndian.AppendUint16(b, uint16(len(f.Data)))
		b = append(b, f.Data...)
	case ResetFrame:
		b = append(b, byte(f.Reason))
	case WindowFrame:
		b = binary.BigEndian.AppendUint64(b, f.Value)
	}
	return b
}

// PutDataHeader writes the header of a DataFrame of n bytes, which the caller
// puts behind it. b must have DataOverhead bytes.
func PutDataHeader(b []byte, stream uint32, n int) {
	b[0] = byte(DataFrame)
	binary.BigEndian.PutUint32(b[1:], stream)
	binary.BigEndian.PutUint16(b[5:], uint16(n))
}
