package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"safing/internal/sqlite"
)

// Limits bound a store. A zero field means its default.
type Limits struct {
	Rows int           // how many connections are kept, 1,000,000 by default
	Age  time.Duration // how long a connection is kept, 30 days by default
}

func (l Limits) withDefaults() Limits {
	if l.Rows <= 0 {
		l.Rows = 1_000_000
	}
	if l.Age <= 0 {
		l.Age = 30 * 24 * time.Hour
	}
	return l
}

const (
	flushInterval = 500 * time.Millisecond // what a crash may lose
	pruneInterval = time.Minute
	pruneStep     = 5_000 // rows deleted in one transaction
)

// A Store is the history on disk. Make one with [Open].
type Store struct {
	db     *sql.DB
	limits Limits
	log    *slog.Logger
}

// schema is the list of migrations.
func schema() []string {
	return []string{`
CREATE TABLE connections (
	id       INTEGER PRIMARY KEY,
	started  INTEGER NOT NULL,           -- milliseconds since 1970
	ended    INTEGER,                    -- NULL while open
	written  INTEGER NOT NULL,           -- when this row was last written
	app      TEXT NOT NULL,
	app_name TEXT NOT NULL,
	path     TEXT NOT NULL,
	verdict  TEXT NOT NULL,
	entry    TEXT NOT NULL               -- the whole connection as JSON
) STRICT;
CREATE INDEX connections_started ON connections (started);
CREATE INDEX connections_open ON connections (id) WHERE ended IS NULL;
`}
}

// Open opens or makes the file at path. Connections that were open when the
// last process to write it ended are marked as ended when they were last
// heard of. log may be nil.
func Open(ctx context.Context, path string, limits Limits, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	db, err := sqlite.Open(ctx, path, schema())
	if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	s := &Store{db: db, limits: limits.withDefaults(), log: log}
	if err := s.closeOpen(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("open the history %s: %w", path, err)
	}
	return s, nil
}

// closeOpen ends the rows that a crash left open.
func (s *Store) closeOpen(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, `
UPDATE connections SET ended = written, entry = json_set(entry,
	'$.ended', strftime('%Y-%m-%dT%H:%M:%fZ', written / 1000.0, 'unixepoch'),
	'$.error', 'the firewall ended while this connection was open')
WHERE ended IS NULL`)
	return err
}

// LastID is the highest ID in the file, 0 when it is empty.
func (s *Store) LastID(ctx context.Context) (uint64, error) {
	var id sql.Null[int64]
	if err := s.db.QueryRowContext(ctx, `SELECT max(id) FROM connections`).Scan(&id); err != nil {
		return 0, fmt.Errorf("read the history: %w", err)
	}
	return uint64(max(id.V, 0)), nil
}

// List returns the newest connections that f selects, the oldest first. A
// Limit of 0 or above 10,000 means 10,000.
func (s *Store) List(ctx context.Context, f Filter) ([]Connection, error) {
	const most = 10_000
	if f.Limit <= 0 || f.Limit > most {
		f.Limit = most
	}
	rows, err := s.db.QueryContext(ctx, `
SELECT entry FROM connections
WHERE (?1 = '' OR verdict = ?1) AND (?2 = '' OR app = ?2 OR app_name = ?2 OR path = ?2)
ORDER BY id DESC LIMIT ?3`, f.Verdict, f.App, f.Limit)
	if err != nil {
		return nil, fmt.Errorf("search the history: %w", err)
	}
	defer rows.Close()
	all := []Connection{}
	for rows.Next() {
		var entry []byte
		var c Connection
		if err := rows.Scan(&entry); err != nil {
			return nil, fmt.Errorf("search the history: %w", err)
		}
		if err := json.Unmarshal(entry, &c); err != nil {
			return nil, fmt.Errorf("read an entry of the history: %w", err)
		}
		all = append(all, c.normal())
	}
	slices.Reverse(all)
	return all, rows.Err()
}

// Record follows the table and writes what changes until ctx ends; then it
// writes what is left and returns. When writing fails, the same changes are
// tried again; the log has a line when that begins and when it ends.
func (s *Store) Record(ctx context.Context, t *Table) {
	var version uint64
	var failing bool
	var pruned time.Time
	for {
		ended := waitBatch(ctx, t, version) != nil
		next, err := s.flush(t, version)
		if (err != nil) != failing {
			failing = err != nil
			s.logWriting(err)
		}
		if version = next; ended {
			return
		}
		if time.Since(pruned) >= pruneInterval {
			pruned = time.Now()
			if err := s.prune(ctx, pruned); err != nil && ctx.Err() == nil {
				s.log.Error("prune the history", "error", err)
			}
		}
	}
}

// waitBatch waits for a change and then a little for more of them, unless
// the table fills up.
func waitBatch(ctx context.Context, t *Table, version uint64) error {
	if err := t.Wait(ctx, version); err != nil {
		return err
	}
	pause := time.NewTimer(flushInterval)
	defer pause.Stop()
	for {
		full, wake := t.full()
		if full {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
			return nil
		case <-wake:
		}
	}
}

func (s *Store) logWriting(err error) {
	if err != nil {
		s.log.Error("cannot write the history, trying again", "error", err)
		return
	}
	s.log.Info("the history is written again")
}

// flush writes what changed since the version and returns the version that is
// written. The last flush runs while the daemon stops, so it has a limit of
// its own.
func (s *Store) flush(t *Table, version uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	d := t.Since(version)
	if d.Version == version {
		return version, nil
	}
	if err := s.write(ctx, d, time.Now()); err != nil {
		return version, err
	}
	t.markSaved(d.Version)
	return d.Version, nil
}

// write puts one step of the table into the file, all or nothing.
func (s *Store) write(ctx context.Context, d Delta, now time.Time) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // does nothing after Commit
	put, err := tx.PrepareContext(ctx, `
INSERT INTO connections (id, started, ended, written, app, app_name, path, verdict, entry)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, written = excluded.written, app = excluded.app,
	app_name = excluded.app_name, path = excluded.path, verdict = excluded.verdict, entry = excluded.entry`)
	if err != nil {
		return err
	}
	defer put.Close()
	for i := range d.Connections {
		if err := putConnection(ctx, put, &d.Connections[i], now); err != nil {
			return err
		}
	}
	count, err := tx.PrepareContext(ctx, `
UPDATE connections SET written = ?2, entry = json_set(entry, '$.sent', ?3, '$.received', ?4) WHERE id = ?1`)
	if err != nil {
		return err
	}
	defer count.Close()
	for _, c := range d.Counters {
		if _, err := count.ExecContext(ctx, int64(c.ID), now.UnixMilli(), int64(c.Sent), int64(c.Received)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func putConnection(ctx context.Context, put *sql.Stmt, c *Connection, now time.Time) error {
	entry, err := json.Marshal(c)
	if err != nil {
		return err
	}
	var ended sql.Null[int64]
	if c.Ended != nil {
		ended = sql.Null[int64]{V: c.Ended.UnixMilli(), Valid: true}
	}
	_, err = put.ExecContext(ctx, int64(c.ID), c.Started.UnixMilli(), ended, now.UnixMilli(),
		c.App.ID, c.App.Name, c.Process.Path, c.Verdict, string(entry))
	return err
}

// prune deletes what is too old or too much, in small steps, so that a batch
// never waits long.
func (s *Store) prune(ctx context.Context, now time.Time) error {
	oldest := now.Add(-s.limits.Age).UnixMilli()
	err := s.pruneWhere(ctx, `started < ?1`, oldest)
	if err != nil {
		return err
	}
	return s.pruneWhere(ctx, `id <= (SELECT max(id) FROM connections) - ?1`, s.limits.Rows)
}

func (s *Store) pruneWhere(ctx context.Context, condition string, argument any) error {
	for {
		r, err := s.db.ExecContext(ctx, `
DELETE FROM connections WHERE id IN (SELECT id FROM connections WHERE `+condition+` LIMIT ?2)`, argument, pruneStep)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n < pruneStep {
			return err
		}
	}
}

// Close closes the file. Record must have returned.
func (s *Store) Close() error { return s.db.Close() }
