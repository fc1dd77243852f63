package authority

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"safing/internal/sqlite"
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
`}
}

func openStore(ctx context.Context, path string) (*store, error) {
	db, err := sqlite.Open(ctx, path, migrations())
	if err != nil {
		return nil, err
	}
	return &store{db}, nil
}

func (s *store) close() error { return s.db.Close() }

func (s *store) load(ctx context.Context) (map[netmap.NodeID]entry, uint64, error) {
	nodes := make(map[netmap.NodeID]entry)
	var sequence uint64
	if err := s.db.QueryRowContext(ctx, "SELECT value FROM sequence").Scan(&sequence); err != nil {
		return nil, 0, fmt.Errorf("read the map's number: %w", err)
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
	return nodes, sequence, rows.Err()
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

func (s *store) setSequence(ctx context.Context, n uint64) error {
	if _, err := s.db.ExecContext(ctx, "UPDATE sequence SET value = ?", n); err != nil {
		return fmt.Errorf("keep the map's number: %w", err)
	}
	return nil
}
