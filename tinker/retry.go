package tinker

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxDescriptor is how many bytes a descriptor in a retry may have.
const MaxDescriptor = 16 << 10

// A RetryError is the error of a hello for a prekey that the responder no
// longer has. Anybody on the way could have made it: the descriptor counts only
// if its own signature says that it is the responder's, and is newer than the
// one that the hello was made with.
type RetryError struct {
	Descriptor []byte // what the responder publishes now
}

// Error implements error.
func (e *RetryError) Error() string {
	return "the responder has other prekeys by now: use its newer descriptor"
}

// Is says that this is an [ErrUnknownPrekey].
func (e *RetryError) Is(target error) bool { return target == ErrUnknownPrekey }

// Retry is the reply to a hello that failed with [ErrUnknownPrekey]: it tells
// the initiator what the responder publishes now. It holds no secret.
func Retry(descriptor []byte) ([]byte, error) {
	if len(descriptor) == 0 || len(descriptor) > MaxDescriptor {
		return nil, errors.New("make a retry: a descriptor has 1 to 16384 bytes")
	}
	reply := binary.BigEndian.AppendUint16([]byte{replyRetry}, uint16(len(descriptor)))
	return append(reply, descriptor...), nil
}

// SplitReply cuts the reply to the initiator off the beginning of what may be
// longer, such as a padded cell. The error wraps [ErrTooShort] or
// [ErrDecrypt].
func (i *Initiator) SplitReply(b []byte) (reply, rest []byte, err error) {
	if len(b) < retryHeader {
		return nil, nil, fmt.Errorf("read the reply: %w", ErrTooShort)
	}
	size := i.suite.id.ReplySize()
	switch b[0] {
	case replyAccept:
	case replyRetry:
		size = retryHeader + int(binary.BigEndian.Uint16(b[1:]))
	default:
		return nil, nil, fmt.Errorf("read the reply: %w", ErrDecrypt)
	}
	if len(b) < size {
		return nil, nil, fmt.Errorf("read the reply: %w", ErrTooShort)
	}
	return b[:size], b[size:], nil
}

// parseRetry returns the error that a retry is, or nil for other replies.
func parseRetry(reply []byte) error {
	if len(reply) <= retryHeader || reply[0] != replyRetry {
		return nil
	}
	descriptor := reply[retryHeader:]
	if len(descriptor) > MaxDescriptor || len(descriptor) != int(binary.BigEndian.Uint16(reply[1:])) {
		return nil
	}
	return &RetryError{Descriptor: append([]byte(nil), descriptor...)}
}
