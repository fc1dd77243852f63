package tlog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxLeaf is the greatest length of a leaf, in bytes: bundles of entries have
// two bytes for it.
const MaxLeaf = 1<<16 - 1

// Schema makes the tables of a log.
const Schema = `
CREATE TABLE log_leaves (
	number INTEGER PRIMARY KEY, -- from 0, without gaps
	leaf   BLOB NOT NULL
) STRICT;
CREATE TABLE log_hashes (
	number INTEGER PRIMARY KEY, -- tlog.StoredHashIndex of golang.org/x/mod
	hash   BLOB NOT NULL
) STRICT;
`

// ErrNoLeaf means that the log has no leaf with a number.
var ErrNoLeaf = errors.New("the log has no such leaf")

// A Hash is that of a leaf or of a tree.
type Hash = tlog.Hash

// A Reader is a *sql.DB or a *sql.Tx.
type Reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Append adds a leaf of at most [MaxLeaf] bytes and returns its number. It is in
// the log when the transaction is committed.
func Append(ctx context.Context, tx *sql.Tx, leaf []byte) (number int64, err error) {
	t, err := At(ctx, tx)
	if err != nil {
		return 0, err
	}
	hashes, err := t.hashesOf(ctx, leaf)
	if err != nil {
		return 0, err
	}
	if _, err := tx.ExecContext(ctx, "INSERT INTO log_leaves VALUES (?, ?)", t.size, leaf); err != nil {
		return 0, fmt.Errorf("append leaf %d: %w", t.size, err)
	}
	first := tlog.StoredHashIndex(0, t.size)
	for i, h := range hashes {
		if _, err := tx.ExecContext(ctx, "INSERT INTO log_hashes VALUES (?, ?)", first+int64(i), h[:]); err != nil {
			return 0, fmt.Errorf("append leaf %d: %w", t.size, err)
		}
	}
	return t.size, nil
}

// Size returns how many leaves the log has.
func Size(ctx context.Context, r Reader) (int64, error) {
	var n int64
	if err := r.QueryRowContext(ctx, "SELECT coalesce(max(number) + 1, 0) FROM log_leaves").Scan(&n); err != nil {
		return 0, fmt.Errorf("read the log's size: %w", err)
	}
	return n, nil
}

// Leaf returns the leaf with the number. The error wraps [ErrNoLeaf] if there is
// none.
func Leaf(ctx context.Context, r Reader, number int64) ([]byte, error) {
	var leaf []byte
	err := r.QueryRowContext(ctx, "SELECT leaf FROM log_leaves WHERE number = ?", number).Scan(&leaf)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("%w: %d", ErrNoLeaf, number)
	}
	if err != nil {
		return nil, fmt.Errorf("read leaf %d: %w", number, err)
	}
	return leaf, nil
}

// Leaves returns the leaves from first on, at most most of them.
func Leaves(ctx context.Context, r Reader, first int64, most int) ([][]byte, error) {
	rows, err := r.QueryContext(ctx, "SELECT leaf FROM log_leaves WHERE number >= ? ORDER BY number LIMIT ?", first, most)
	if err != nil {
		return nil, fmt.Errorf("read leaves from %d: %w", first, err)
	}
	defer rows.Close()
	var leaves [][]byte
	for rows.Next() {
		var leaf []byte
		if err := rows.Scan(&leaf); err != nil {
			return nil, fmt.Errorf("read leaves from %d: %w", first, err)
		}
		leaves = append(leaves, leaf)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read leaves from %d: %w", first, err)
	}
	return leaves, nil
}

// storedHashes returns the hashes with the numbers, in their order.
func storedHashes(ctx context.Context, r Reader, numbers []int64) ([]Hash, error) {
	list, err := json.Marshal(numbers)
	if err != nil {
		return nil, err
	}
	rows, err := r.QueryContext(ctx, "SELECT number, hash FROM log_hashes WHERE number IN (SELECT value FROM json_each(?))", string(list))
	if err != nil {
		return nil, fmt.Errorf("read hashes of the log: %w", err)
	}
	defer rows.Close()
	found := make(map[int64]Hash, len(numbers))
	for rows.Next() {
		var number int64
		var hash []byte
		if err := rows.Scan(&number, &hash); err != nil {
			return nil, fmt.Errorf("read hashes of the log: %w", err)
		}
		if len(hash) != tlog.HashSize {
			return nil, fmt.Errorf("hash %d of the log has %d bytes: the database is damaged", number, len(hash))
		}
		found[number] = Hash(hash)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read hashes of the log: %w", err)
	}
	hashes := make([]Hash, len(numbers))
	for i, n := range numbers {
		h, ok := found[n]
		if !ok {
			return nil, fmt.Errorf("the log lacks its hash %d: the database is damaged", n)
		}
		hashes[i] = h
	}
	return hashes, nil
}
