package authority

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"safing/internal/canonical"
	"safing/internal/tlog"
	"safing/netmap"
)

// A candidate is the map that is to come next, as the leaf that it would be in
// the log. It is on disk before anybody sees our signature, so that we sign the
// same again after a crash.
type candidate struct {
	period     time.Time
	header     string // the leaf
	checkpoint []byte // of the log with it, with the signatures so far
	body       []byte
	shards     [][]byte  // of keys
	members    []listing // nil if others have made it
}

// A listing says what of a node is on a map.
type listing struct {
	ID         netmap.NodeID `cbor:"1,keyasint"`
	Descriptor digest        `cbor:"2,keyasint"`
	Keys       digest        `cbor:"3,keyasint"`
}

// A candidateWire is a candidate as authorities show it to each other.
type candidateWire struct {
	Header     string `cbor:"1,keyasint"`
	Checkpoint []byte `cbor:"2,keyasint"`
}

// A bodyWire is the rest of it.
type bodyWire struct {
	Body   []byte   `cbor:"1,keyasint"`
	Shards [][]byte `cbor:"2,keyasint"`
}

// sequence returns the number of the map.
func (c *candidate) sequence() (uint64, error) {
	h, err := netmap.ParseHeader(c.header)
	return h.Sequence, err
}

// propose makes a candidate of a map, and signs it. The same log, period and
// nodes make the same text at all authorities.
func (a *Authority) propose(ctx context.Context, period time.Time, m *netmap.Map, members []listing) (*candidate, error) {
	tree, err := tlog.At(ctx, a.store.db)
	if err != nil {
		return nil, err
	}
	m.Sequence, m.ValidAfter, m.ValidUntil = uint64(tree.Size()), period.Add(-backdated), period.Add(a.validity)
	c := &candidate{period: period, members: members}
	if c.body, c.shards, err = m.Encode(); err != nil {
		return nil, err
	}
	c.header = m.Header(c.body).String()
	checkpoint, err := checkpointOf(ctx, a.quorum.network, tree, c.header)
	if err != nil {
		return nil, err
	}
	c.checkpoint, err = netmap.SignCheckpoint(checkpoint, a.signer)
	return c, err
}

// checkpointOf returns the text of the checkpoint that a leaf would make.
func checkpointOf(ctx context.Context, network string, tree *tlog.Tree, leaf string) (string, error) {
	next, err := tree.With(ctx, []byte(leaf))
	if err != nil {
		return "", err
	}
	root, err := next.Root(ctx)
	if err != nil {
		return "", err
	}
	return netmap.MakeCheckpoint(network, next.Size(), root), nil
}

// errNotNext means that a candidate is not of the log as it is.
var errNotNext = errors.New("it is not the next leaf of the log")

// readCandidate reads what a peer shows, and checks that its checkpoint is what
// the leaf makes of our log.
func (a *Authority) readCandidate(ctx context.Context, b []byte) (*candidate, error) {
	var w candidateWire
	if err := canonical.Decode(b, &w, maxNodes); err != nil {
		return nil, err
	}
	h, err := netmap.ParseHeader(w.Header)
	if err != nil {
		return nil, err
	}
	tree, err := tlog.At(ctx, a.store.db)
	if err != nil {
		return nil, err
	}
	if h.Network != a.quorum.network || h.Sequence != uint64(tree.Size()) {
		return nil, errNotNext
	}
	want, err := checkpointOf(ctx, a.quorum.network, tree, w.Header)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(w.Checkpoint, []byte(want+"\n")) { // an empty line ends a note's text
		return nil, fmt.Errorf("%w: its checkpoint is of another log", errNotNext)
	}
	return &candidate{period: h.ValidAfter.Add(backdated), header: w.Header, checkpoint: w.Checkpoint}, nil
}

// readBody takes the rest of a candidate, if it is what the header names.
func (c *candidate) readBody(b []byte) error {
	h, err := netmap.ParseHeader(c.header)
	if err != nil {
		return err
	}
	var w bodyWire
	if err := canonical.Decode(b, &w, maxNodes); err != nil {
		return err
	}
	m, err := netmap.DecodeMap(h, w.Body)
	if err != nil {
		return err
	}
	same := slices.EqualFunc(m.Shards(), w.Shards, func(hash [sha256.Size]byte, shard []byte) bool { return sha256.Sum256(shard) == hash })
	if !same {
		return errors.New("the map's keys are not those that were signed")
	}
	c.body, c.shards = w.Body, w.Shards
	return nil
}
