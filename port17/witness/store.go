package witness

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"safing/internal/sqlite"
	"safing/netmap"
)

// maxEvidence is how many checkpoints that contradict another are kept of a log:
// one is enough to prove it.
const maxEvidence = 16

// A store keeps what a witness must not forget.
type store struct{ db *sql.DB }

func migrations() []string {
	return []string{`
CREATE TABLE logs (
	origin     TEXT PRIMARY KEY,
	size       INTEGER NOT NULL,
	root       BLOB NOT NULL,
	checkpoint BLOB NOT NULL -- as its authorities have signed it
) STRICT;
CREATE TABLE evidence (
	origin     TEXT NOT NULL,
	size       INTEGER NOT NULL,
	root       BLOB NOT NULL,
	checkpoint BLOB NOT NULL, -- another of this size
	known      BLOB NOT NULL, -- the one that was cosigned
	PRIMARY KEY (origin, size, root)
) STRICT;
`}
}

func openStore(ctx context.Context, path string) (*store, error) {
	db, err := sqlite.OpenDurable(ctx, path, migrations())
	if err != nil {
		return nil, err
	}
	return &store{db}, nil
}

func (s *store) close() error { return s.db.Close() }

// known is the newest checkpoint of a log that was cosigned.
type known struct {
	size       int64
	root       tlog.Hash
	checkpoint []byte
}

// known returns the newest checkpoint of the log; size 0 if there is none.
func (s *store) known(ctx context.Context, origin string) (known, error) {
	return load(ctx, s.db, origin)
}

// rows are those of the database, or of a transaction.
type rows interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func load(ctx context.Context, from rows, origin string) (known, error) {
	var k known
	var root []byte
	err := from.QueryRowContext(ctx, "SELECT size, root, checkpoint FROM logs WHERE origin = ?", origin).Scan(&k.size, &root, &k.checkpoint)
	if errors.Is(err, sql.ErrNoRows) {
		return known{}, nil
	}
	if err != nil {
		return known{}, fmt.Errorf("read what is known of the log: %w", err)
	}
	if len(root) != tlog.HashSize {
		return known{}, fmt.Errorf("read what is known of the log: its root has %d bytes: the database is damaged", len(root))
	}
	k.root = tlog.Hash(root)
	return k, nil
}

// advance calls judge with what is known of the checkpoint's log and remembers
// the checkpoint if it has no error. Nobody else writes meanwhile.
func (s *store) advance(ctx context.Context, c netmap.Checkpoint, signed []byte, judge func(known) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("remember checkpoint: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	k, err := load(ctx, tx, c.Origin)
	if err != nil {
		return err
	}
	if err := judge(k); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO logs VALUES (?, ?, ?, ?)", c.Origin, c.Size, c.Root[:], signed); err != nil {
		return fmt.Errorf("remember checkpoint: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("remember checkpoint: %w", err)
	}
	return nil
}

// keepEvidence keeps a checkpoint that contradicts the one that is known.
func (s *store) keepEvidence(ctx context.Context, c netmap.Checkpoint, signed []byte, k known) error {
	_, err := s.db.ExecContext(ctx, `INSERT OR IGNORE INTO evidence
SELECT ?, ?, ?, ?, ? WHERE (SELECT count(*) FROM evidence WHERE origin = ?) < ?`,
		c.Origin, c.Size, c.Root[:], signed, k.checkpoint, c.Origin, maxEvidence)
	if err != nil {
		return fmt.Errorf("keep evidence: %w", err)
	}
	return nil
}
