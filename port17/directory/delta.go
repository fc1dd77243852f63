package directory

import (
	"context"
	"fmt"
	"strconv"

	"safing/netmap"
)

// deltaHeader names the map that a compressed body builds on; 0 stands for none.
const deltaHeader = "Port17-Delta"

// compressed returns the map with its body compressed, and the map that it
// builds on: that with the sequence from, if the mirror has it, else none. It is
// made once, and one at a time.
func (m *Mirror) compressed(ctx context.Context, newest *mirrored, from uint64) (b []byte, base uint64, err error) {
	var old []byte
	if k := m.find(from); k != nil && k.sequence < newest.sequence {
		if _, old, err = netmap.SplitMap(k.signed); err != nil {
			return nil, 0, err
		}
		base = from
	}
	select {
	case m.compressing <- struct{}{}:
		defer func() { <-m.compressing }()
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	if b := newest.deltas[base]; b != nil {
		return b, base, nil
	}
	head, body, err := netmap.SplitMap(newest.signed)
	if err != nil {
		return nil, 0, err
	}
	delta, err := netmap.Compress(body, old)
	if err != nil {
		return nil, 0, err
	}
	b = netmap.JoinMap(head, delta)
	newest.deltas[base] = b
	return b, base, nil
}

// find returns the map with the sequence, if it is kept.
func (m *Mirror) find(sequence uint64) *mirrored {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.maps {
		if k.sequence == sequence {
			return k
		}
	}
	return nil
}

// expand returns the signed map of one with a compressed body, which builds on
// the map that delta names.
func expand(b []byte, delta string, have *held) ([]byte, error) {
	var old []byte
	if delta != "0" {
		if have == nil || delta != strconv.FormatUint(have.Sequence, 10) {
			return nil, fmt.Errorf("%w: it builds on map %.20q, which was not asked for", netmap.ErrDelta, delta)
		}
		var err error
		if _, old, err = netmap.SplitMap(have.signed); err != nil {
			return nil, err
		}
	}
	head, compressed, err := netmap.SplitMap(b)
	if err != nil {
		return nil, err
	}
	body, err := netmap.Expand(compressed, old)
	if err != nil {
		return nil, err
	}
	return netmap.JoinMap(head, body), nil
}
