package directory

import (
	"bytes"
	"fmt"
	"slices"

	"safing/netmap"
)

// maxSeen is how many heads are remembered, so that a second map of any of their
// numbers is noticed.
const maxSeen = 64

// seen is the heads of the maps that were accepted, oldest first: their headers
// and who has signed those. It outlasts restarts, and maps that have expired.
type seen struct{ heads []seenHead }

type seenHead struct {
	sequence uint64
	head     []byte
}

// check compares a map that was verified with what was seen. The error wraps
// [ErrSplit] or [ErrRollback].
func (s *seen) check(sequence uint64, head []byte) error {
	if other := s.head(sequence); other != nil && !bytes.Equal(headerOf(other), headerOf(head)) {
		return fmt.Errorf("%w (number %d)", ErrSplit, sequence)
	}
	if highest := s.highest(); sequence < highest {
		return fmt.Errorf("%w: it is map %d, and map %d was seen", ErrRollback, sequence, highest)
	}
	return nil
}

func (s *seen) head(sequence uint64) []byte {
	for _, h := range s.heads {
		if h.sequence == sequence {
			return h.head
		}
	}
	return nil
}

// highest returns the highest number that was seen; 0 if none was.
func (s *seen) highest() uint64 {
	if len(s.heads) == 0 {
		return 0
	}
	return s.heads[len(s.heads)-1].sequence
}

// add remembers a head, if it is newer than those before.
func (s *seen) add(sequence uint64, head []byte) {
	if len(s.heads) > 0 && sequence <= s.highest() {
		return
	}
	s.heads = append(s.heads, seenHead{sequence, bytes.Clone(head)})
	s.heads = slices.Delete(s.heads, 0, max(0, len(s.heads)-maxSeen))
}

// encode returns the heads, with a zero byte behind each.
func (s *seen) encode() []byte {
	var b []byte
	for _, h := range s.heads {
		b = append(append(b, h.head...), 0)
	}
	return b
}

// decodeSeen reads what encode returns.
func decodeSeen(b []byte) (seen, error) {
	var s seen
	for len(b) > 0 {
		head, rest, ok := bytes.Cut(b, []byte{0})
		if !ok {
			return seen{}, fmt.Errorf("%w: the last head that was seen is cut off", netmap.ErrMap)
		}
		h, err := netmap.ParseHeader(string(headerOf(head)))
		if err != nil {
			return seen{}, err
		}
		s.add(h.Sequence, head)
		b = rest
	}
	return s, nil
}
