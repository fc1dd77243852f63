package authority

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"safing/internal/canonical"
	"safing/internal/sqlite"
	"safing/internal/tlog"
	"safing/netmap"
)

const (
	keptMaps  = 32 // on disk
	maxProofs = 64 // that one authority is hostile: one would be enough
)

// errSplit means that enough authorities have signed a log that is not ours.
var errSplit = errors.New("there are two logs of maps: authorities or their keys are hostile")

// A store keeps what an authority must not forget. What others are told is in
// it before they are.
type store struct{ db *sql.DB }

func migrations() []string {
	return []string{
		// Maps were in no log before: their numbers begin anew.
		"SELECT 1", "SELECT 1", tlog.Schema,
		`
DROP TABLE IF EXISTS nodes;
DROP TABLE IF EXISTS sequence;
CREATE TABLE objects (
	hash     BLOB PRIMARY KEY,
	kind     INTEGER NOT NULL, -- 1 descriptor, 2 keys, 3 statement
	signed   BLOB NOT NULL,
	received INTEGER NOT NULL  -- seconds since 1970
) STRICT;
CREATE TABLE vote ( -- our own, of the last period
	one    INTEGER PRIMARY KEY CHECK (one = 1),
	period INTEGER NOT NULL, -- seconds since 1970
	ballot BLOB NOT NULL,
	body   BLOB NOT NULL
) STRICT;
CREATE TABLE equivocations (
	period INTEGER NOT NULL,
	author INTEGER NOT NULL, -- hash of the key
	first  BLOB NOT NULL,    -- ballots with its signature
	second BLOB NOT NULL,
	PRIMARY KEY (period, author)
) STRICT;
CREATE TABLE candidate ( -- the leaf that comes next
	one        INTEGER PRIMARY KEY CHECK (one = 1),
	period     INTEGER NOT NULL,
	header     TEXT NOT NULL,
	checkpoint BLOB NOT NULL, -- with the signatures so far
	body       BLOB NOT NULL,
	shards     BLOB NOT NULL, -- of keys
	members    BLOB NOT NULL
) STRICT;
CREATE TABLE maps (
	sequence INTEGER PRIMARY KEY,
	signed   BLOB NOT NULL,
	members  BLOB NOT NULL
) STRICT;
`,
		`
CREATE TABLE shards ( -- of keys of nodes on the newest maps
	hash     BLOB PRIMARY KEY,
	keys     BLOB NOT NULL,
	sequence INTEGER NOT NULL -- of the last map that has them
) STRICT;
`,
	}
}

// openStore opens the database, which begins with the log's first leaf.
func openStore(ctx context.Context, path, network string) (*store, error) {
	db, err := sqlite.OpenDurable(ctx, path, migrations())
	if err != nil {
		return nil, err
	}
	s := &store{db}
	err = s.update(ctx, func(tx *sql.Tx) error {
		size, err := tlog.Size(ctx, tx)
		if err != nil || size > 0 {
			return err
		}
		_, err = tlog.Append(ctx, tx, []byte(netmap.FirstLeaf(network)))
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin the log: %w", err), db.Close())
	}
	return s, nil
}

func (s *store) close() error { return s.db.Close() }

// update runs f in a transaction.
func (s *store) update(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// objects calls f with all that nodes and authorities have signed.
func (s *store) objects(ctx context.Context, f func(p parcel, received time.Time)) error {
	rows, err := s.db.QueryContext(ctx, "SELECT kind, signed, received FROM objects ORDER BY kind, received")
	if err != nil {
		return fmt.Errorf("read what nodes have published: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var p parcel
		var received int64
		if err := rows.Scan(&p.Kind, &p.Signed, &received); err != nil {
			return fmt.Errorf("read what nodes have published: %w", err)
		}
		f(p, time.Unix(received, 0))
	}
	return rows.Err()
}

// putObject keeps an object, and forgets others for it.
func (s *store) putObject(ctx context.Context, hash digest, p parcel, received time.Time, forgotten []digest) error {
	err := s.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO objects VALUES (?, ?, ?, ?)", hash[:], p.Kind, p.Signed, received.Unix()); err != nil {
			return err
		}
		return forget(ctx, tx, forgotten)
	})
	if err != nil {
		return fmt.Errorf("keep what was published: %w", err)
	}
	return nil
}

func (s *store) forgetObjects(ctx context.Context, hashes []digest) error {
	if err := s.update(ctx, func(tx *sql.Tx) error { return forget(ctx, tx, hashes) }); err != nil {
		return fmt.Errorf("forget what was published: %w", err)
	}
	return nil
}

func forget(ctx context.Context, tx *sql.Tx, hashes []digest) error {
	for _, h := range hashes {
		if _, err := tx.ExecContext(ctx, "DELETE FROM objects WHERE hash = ?", h[:]); err != nil {
			return err
		}
	}
	return nil
}

// vote returns our own vote of a period; nil if there is none.
func (s *store) vote(ctx context.Context, period time.Time) (ballot, body []byte, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT ballot, body FROM vote WHERE period = ?", period.Unix()).Scan(&ballot, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read our vote: %w", err)
	}
	return ballot, body, nil
}

func (s *store) putVote(ctx context.Context, period time.Time, ballot, body []byte) error {
	if _, err := s.db.ExecContext(ctx, "INSERT OR REPLACE INTO vote VALUES (1, ?, ?, ?)", period.Unix(), ballot, body); err != nil {
		return fmt.Errorf("keep our vote: %w", err)
	}
	return nil
}

// putEquivocation keeps the proof that an authority is hostile.
func (s *store) putEquivocation(ctx context.Context, first, second ballot) error {
	a, err := first.bytes()
	if err != nil {
		return err
	}
	b, err := second.bytes()
	if err != nil {
		return err
	}
	_, err = s.db.ExecContext(ctx, `INSERT OR IGNORE INTO equivocations
SELECT ?, ?, ?, ? WHERE (SELECT count(*) FROM equivocations WHERE author = ?) < ?`,
		first.period.Unix(), first.author, a, b, first.author, maxProofs)
	if err != nil {
		return fmt.Errorf("keep the proof that an authority is hostile: %w", err)
	}
	return nil
}

// candidate returns the leaf that was to come next; nil if there is none.
func (s *store) candidate(ctx context.Context) (*candidate, error) {
	c := new(candidate)
	var period int64
	var shards, members []byte
	err := s.db.QueryRowContext(ctx, "SELECT period, header, checkpoint, body, shards, members FROM candidate").
		Scan(&period, &c.header, &c.checkpoint, &c.body, &shards, &members)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = errors.Join(canonical.Decode(shards, &c.shards, maxNodes), canonical.Decode(members, &c.members, maxNodes))
	}
	if err != nil {
		return nil, fmt.Errorf("read the map that was to come next: %w", err)
	}
	c.period = time.Unix(period, 0).UTC()
	return c, nil
}

func (s *store) putCandidate(ctx context.Context, c *candidate) error {
	members, err := canonical.Encode(c.members)
	if err != nil {
		return fmt.Errorf("keep the map that comes next: %w", err)
	}
	shards, err := canonical.Encode(c.shards)
	if err != nil {
		return fmt.Errorf("keep the map that comes next: %w", err)
	}
	_, err = s.db.ExecContext(ctx, "INSERT OR REPLACE INTO candidate VALUES (1, ?, ?, ?, ?, ?, ?)",
		c.period.Unix(), c.header, c.checkpoint, c.body, shards, members)
	if err != nil {
		return fmt.Errorf("keep the map that comes next: %w", err)
	}
	return nil
}

// publish appends leaves to the log and keeps the map that the last of them is
// of. The error wraps errSplit if that makes another tree than the
// root's.
func (s *store) publish(ctx context.Context, leaves [][]byte, root tlog.Hash, sequence uint64, signed []byte, shards [][]byte, members []listing) error {
	list, err := canonical.Encode(members)
	if err != nil {
		return fmt.Errorf("keep map %d: %w", sequence, err)
	}
	err = s.update(ctx, func(tx *sql.Tx) error {
		for _, leaf := range leaves {
			if _, err := tlog.Append(ctx, tx, leaf); err != nil {
				return err
			}
		}
		if err := checkTree(ctx, tx, int64(sequence)+1, root); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO maps VALUES (?, ?, ?)", sequence, signed, list); err != nil {
			return err
		}
		if err := keepShards(ctx, tx, sequence, shards); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM maps WHERE sequence <= ?", int64(sequence)-keptMaps); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "DELETE FROM candidate")
		return err
	})
	if err != nil {
		return fmt.Errorf("keep map %d: %w", sequence, err)
	}
	return nil
}

// keepShards keeps the key shards of the two newest maps.
func keepShards(ctx context.Context, tx *sql.Tx, sequence uint64, shards [][]byte) error {
	for _, s := range shards {
		hash := sha256.Sum256(s)
		if _, err := tx.ExecContext(ctx, "INSERT INTO shards VALUES (?, ?, ?) ON CONFLICT (hash) DO UPDATE SET sequence = excluded.sequence",
			hash[:], s, sequence); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM shards WHERE sequence < ?", int64(sequence)-1)
	return err
}

// shards returns those that are kept.
func (s *store) shards(ctx context.Context) (shards [][]byte, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT keys FROM shards")
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		shards = append(shards, b)
	}
	return shards, rows.Err()
}

func checkTree(ctx context.Context, tx *sql.Tx, size int64, root tlog.Hash) error {
	tree, err := tlog.At(ctx, tx)
	if err != nil {
		return err
	}
	have, err := tree.Root(ctx)
	if err != nil {
		return err
	}
	if tree.Size() != size || have != root {
		return fmt.Errorf("%w: the log has %d leaves and the root %s, the map is of one with %d and %s", errSplit, tree.Size(), have, size, root)
	}
	return nil
}

// newestMap returns the map that was published last, and who is on it; nil if
// there is none.
func (s *store) newestMap(ctx context.Context) (signed []byte, members []listing, err error) {
	var list []byte
	err = s.db.QueryRowContext(ctx, "SELECT signed, members FROM maps ORDER BY sequence DESC LIMIT 1").Scan(&signed, &list)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	if err == nil {
		err = canonical.Decode(list, &members, maxNodes)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the newest map: %w", err)
	}
	return signed, members, nil
}
