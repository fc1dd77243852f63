package probe

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"time"

	"safing/internal/sqlite"
	"safing/netmap"
)

// A store keeps what took long to find out.
type store struct{ db *sql.DB }

func migrations() []string {
	return []string{`
CREATE TABLE measurements (
	node BLOB NOT NULL,
	at   INTEGER NOT NULL, -- seconds since 1970
	rate INTEGER NOT NULL  -- bytes a second
) STRICT;
CREATE INDEX measurements_by_node ON measurements (node, at);
CREATE TABLE bad_exits (
	node  BLOB PRIMARY KEY,
	until INTEGER NOT NULL, -- seconds since 1970
	why   TEXT NOT NULL
) STRICT;
`}
}

func openStore(ctx context.Context, dir string) (*store, error) {
	db, err := sqlite.Open(ctx, filepath.Join(dir, "probes.db"), migrations())
	if err != nil {
		return nil, fmt.Errorf("open what was measured: %w", err)
	}
	return &store{db}, nil
}

func (s *store) close() error { return s.db.Close() }

// load puts what still counts into the records.
func (s *store) load(ctx context.Context, now time.Time, of func(netmap.NodeID) *record) error {
	for query, put := range map[string]func(r *record, at, rate int64){
		"SELECT node, at, rate FROM measurements ORDER BY at": func(r *record, at, rate int64) {
			r.add(measured{at: time.Unix(at, 0), rate: uint64(rate)})
		},
		"SELECT node, until, 0 FROM bad_exits": func(r *record, until, _ int64) { r.badUntil = time.Unix(until, 0) },
	} {
		if err := s.each(ctx, query, of, put); err != nil {
			return fmt.Errorf("read what was measured: %w", err)
		}
	}
	if _, err := s.db.ExecContext(ctx, "DELETE FROM measurements WHERE at < ?", now.Add(-rateFor).Unix()); err != nil {
		return fmt.Errorf("forget old measurements: %w", err)
	}
	if _, err := s.db.ExecContext(ctx, "DELETE FROM bad_exits WHERE until < ?", now.Unix()); err != nil {
		return fmt.Errorf("forget old misdeeds: %w", err)
	}
	return nil
}

func (s *store) each(ctx context.Context, query string, of func(netmap.NodeID) *record, put func(r *record, at, rate int64)) error {
	rows, err := s.db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id []byte
		var a, b int64
		if err := rows.Scan(&id, &a, &b); err != nil {
			return err
		}
		if len(id) != len(netmap.NodeID{}) {
			return fmt.Errorf("an identity of %d bytes", len(id))
		}
		put(of(netmap.NodeID(id)), a, b)
	}
	return rows.Err()
}

// putMeasured keeps a measurement and forgets those that it makes superfluous.
func (s *store) putMeasured(ctx context.Context, id netmap.NodeID, at time.Time, rate uint64) error {
	if _, err := s.db.ExecContext(ctx, "INSERT INTO measurements VALUES (?, ?, ?)", id[:], at.Unix(), int64(min(rate, 1<<62))); err != nil {
		return err
	}
	_, err := s.db.ExecContext(ctx, `DELETE FROM measurements WHERE node = ?1 AND rowid NOT IN (
		SELECT rowid FROM measurements WHERE node = ?1 ORDER BY at DESC, rowid DESC LIMIT ?2)`, id[:], keepRates)
	return err
}

func (s *store) putBad(ctx context.Context, id netmap.NodeID, until time.Time, why string) error {
	_, err := s.db.ExecContext(ctx, "INSERT OR REPLACE INTO bad_exits VALUES (?, ?, ?)", id[:], until.Unix(), why)
	return err
}
