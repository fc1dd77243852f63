package authority

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/internal/sqlite"
	"safing/internal/tlog"
	"safing/netmap"
)

// A store keeps what an authority must not forget.
type store struct{ db *sql.DB }

func migrations() []string {
	return []string{`
CREATE TABLE nodes (
	id       BLOB PRIMARY KEY,
	signed   BLOB NOT NULL,
	received INTEGER NOT NULL -- seconds since 1970
) STRICT;
CREATE TABLE sequence (
	one   INTEGER PRIMARY KEY CHECK (one = 1),
	value INTEGER NOT NULL
) STRICT;
INSERT INTO sequence VALUES (1, 0);
`, `
ALTER TABLE nodes ADD COLUMN keys BLOB; -- signed; null before they came
`, // Maps that were in no log are not valid any more: their numbers begin anew.
		"DROP TABLE sequence;" + tlog.Schema}
}

func openStore(ctx context.Context, path string) (*store, error) {
	db, err := sqlite.OpenDurable(ctx, path, migrations())
	if err != nil {
		return nil, err
	}
	return &store{db}, nil
}

func (s *store) close() error { return s.db.Close() }

func (s *store) load(ctx context.Context) (map[netmap.NodeID]entry, uint64, error) {
	nodes := make(map[netmap.NodeID]entry)
	size, err := tlog.Size(ctx, s.db)
	if err != nil {
		return nil, 0, err
	}
	rows, err := s.db.QueryContext(ctx, "SELECT signed, received, keys FROM nodes")
	if err != nil {
		return nil, 0, fmt.Errorf("read nodes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var e entry
		var received int64
		var keys []byte
		if err := rows.Scan(&e.signed, &received, &keys); err != nil {
			return nil, 0, fmt.Errorf("read nodes: %w", err)
		}
		if e.descriptor, err = netmap.OpenDescriptor(e.signed); err != nil {
			continue // by an older program; the node publishes another
		}
		if e.keys, err = netmap.OpenKeys(keys); err != nil {
			e.keys = nil // as above
		}
		e.received = time.Unix(received, 0)
		nodes[e.descriptor.ID] = e
	}
	return nodes, uint64(max(size-1, 0)), rows.Err()
}

func (s *store) put(ctx context.Context, id netmap.NodeID, e entry) error {
	var keys []byte
	if e.keys != nil {
		keys = e.keys.Signed()
	}
	_, err := s.db.ExecContext(ctx, "INSERT OR REPLACE INTO nodes VALUES (?, ?, ?, ?)", id[:], e.signed, e.received.Unix(), keys)
	if err != nil {
		return fmt.Errorf("keep descriptor: %w", err)
	}
	return nil
}

func (s *store) remove(ctx context.Context, id netmap.NodeID) error {
	_, err := s.db.ExecContext(ctx, "DELETE FROM nodes WHERE id = ?", id[:])
	return err
}

// append makes the map the newest leaf of the log, and signs it as that.
func (s *store) append(ctx context.Context, m *netmap.Map, signer note.Signer) ([]byte, error) {
	body, shards, err := m.Encode()
	if err != nil {
		return nil, err
	}
	header := m.Header(body).String()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("append map %d to the log: %w", m.Sequence, err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	if m.Sequence == 1 {
		if _, err := tlog.Append(ctx, tx, []byte(netmap.FirstLeaf(m.Network))); err != nil {
			return nil, err
		}
	}
	number, err := tlog.Append(ctx, tx, []byte(header))
	if err != nil {
		return nil, err
	}
	if uint64(number) != m.Sequence {
		return nil, fmt.Errorf("map %d would be leaf %d of the log", m.Sequence, number)
	}
	tree, err := tlog.At(ctx, tx)
	if err != nil {
		return nil, err
	}
	root, err := tree.Root(ctx)
	if err != nil {
		return nil, err
	}
	proof, err := tree.Prove(ctx, number)
	if err != nil {
		return nil, err
	}
	checkpoint, err := netmap.SignCheckpoint(netmap.MakeCheckpoint(m.Network, tree.Size(), root), signer)
	if err != nil {
		return nil, err
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("append map %d to the log: %w", m.Sequence, err)
	}
	return netmap.AssembleMap(header, proof, checkpoint, netmap.WithShards(body, shards))
}
