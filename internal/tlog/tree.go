package tlog

import (
	"context"
	"fmt"
	"maps"

	"golang.org/x/mod/sumdb/tlog"
)

// A Tree is the log as it was when At read it, perhaps with leaves that are not
// in the database. It stays what it is when the log grows.
type Tree struct {
	reader Reader
	size   int64
	more   map[int64]Hash // of the leaves that are not in the database, by their number
}

// At returns the tree of all leaves. If r is a transaction, the tree ends with
// it.
func At(ctx context.Context, r Reader) (*Tree, error) {
	size, err := Size(ctx, r)
	if err != nil {
		return nil, err
	}
	return &Tree{reader: r, size: size}, nil
}

// AtSize returns the tree of the log's first leaves.
func AtSize(ctx context.Context, r Reader, size int64) (*Tree, error) {
	t, err := At(ctx, r)
	if err != nil {
		return nil, err
	}
	if size < 0 || size > t.size {
		return nil, fmt.Errorf("the log has %d leaves and never had a tree of %d", t.size, size)
	}
	t.size = size
	return t, nil
}

// With returns the tree that the leaf, of at most [MaxLeaf] bytes, would make of
// this one. The database stays as it is.
func (t *Tree) With(ctx context.Context, leaf []byte) (*Tree, error) {
	hashes, err := t.hashesOf(ctx, leaf)
	if err != nil {
		return nil, err
	}
	next := &Tree{reader: t.reader, size: t.size + 1, more: make(map[int64]Hash, len(t.more)+len(hashes))}
	maps.Copy(next.more, t.more)
	first := tlog.StoredHashIndex(0, t.size)
	for i, h := range hashes {
		next.more[first+int64(i)] = h
	}
	return next, nil
}

// hashesOf returns what is to be stored for the next leaf.
func (t *Tree) hashesOf(ctx context.Context, leaf []byte) ([]Hash, error) {
	if len(leaf) > MaxLeaf {
		return nil, fmt.Errorf("leaf %d has %d bytes, at most %d are allowed", t.size, len(leaf), MaxLeaf)
	}
	hashes, err := tlog.StoredHashes(t.size, leaf, t.hashes(ctx))
	if err != nil {
		return nil, fmt.Errorf("hash leaf %d: %w", t.size, err)
	}
	return hashes, nil
}

// Size returns how many leaves the tree has.
func (t *Tree) Size() int64 { return t.size }

// Root returns the hash of the tree.
func (t *Tree) Root(ctx context.Context) (Hash, error) {
	h, err := tlog.TreeHash(t.size, t.hashes(ctx))
	if err != nil {
		return Hash{}, fmt.Errorf("hash the tree of %d leaves: %w", t.size, err)
	}
	return h, nil
}

// Prove returns the proof that the leaf with the number is in the tree, from its
// sibling up (RFC 6962, 2.1.1).
func (t *Tree) Prove(ctx context.Context, number int64) ([]Hash, error) {
	p, err := tlog.ProveRecord(t.size, number, t.hashes(ctx))
	if err != nil {
		return nil, fmt.Errorf("prove that leaf %d is in the tree of %d: %w", number, t.size, err)
	}
	return p, nil
}

// ProveFrom returns the proof that the tree begins with the old leaves of a
// smaller one (RFC 6962, 2.1.2). It is empty if old is 0 or the tree's own size.
func (t *Tree) ProveFrom(ctx context.Context, old int64) ([]Hash, error) {
	if old == 0 {
		return nil, nil
	}
	p, err := tlog.ProveTree(t.size, old, t.hashes(ctx))
	if err != nil {
		return nil, fmt.Errorf("prove that the tree of %d leaves begins with that of %d: %w", t.size, old, err)
	}
	return p, nil
}

// hashes reads the hashes of the tree: those that are not stored from memory.
func (t *Tree) hashes(ctx context.Context) tlog.HashReader {
	return tlog.HashReaderFunc(func(numbers []int64) ([]Hash, error) {
		hashes := make([]Hash, len(numbers))
		var stored, places []int64
		for i, n := range numbers {
			if h, ok := t.more[n]; ok {
				hashes[i] = h
				continue
			}
			stored, places = append(stored, n), append(places, int64(i))
		}
		if len(stored) == 0 {
			return hashes, nil
		}
		found, err := storedHashes(ctx, t.reader, stored)
		if err != nil {
			return nil, err
		}
		for i, h := range found {
			hashes[places[i]] = h
		}
		return hashes, nil
	})
}
