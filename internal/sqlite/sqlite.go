package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver
)

// ErrNewer means that a newer version of the program wrote the database.
var ErrNewer = errors.New("the database was written by a newer version")

// Open opens the database at path, makes it (mode 0600) if there is none, and
// brings its schema up to date. migrations[i] takes the schema from version i
// to i+1 and runs in a transaction of its own. The path ":memory:" is a
// database that ends with the returned handle.
//
// The loss of power may take the last transactions with it, but damages nothing.
func Open(ctx context.Context, path string, migrations []string) (*sql.DB, error) {
	return openWith(ctx, path, "NORMAL", migrations)
}

// OpenDurable is like Open, for what others are told as soon as it is written:
// a transaction that was committed survives the loss of power.
func OpenDurable(ctx context.Context, path string, migrations []string) (*sql.DB, error) {
	return openWith(ctx, path, "FULL", migrations)
}

func openWith(ctx context.Context, path, synchronous string, migrations []string) (*sql.DB, error) {
	db, err := open(path, synchronous)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	if err := migrate(ctx, db, migrations); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", path, err), db.Close())
	}
	return db, nil
}

func open(path, synchronous string) (*sql.DB, error) {
	pragmas := url.Values{"_pragma": {
		"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(" + synchronous + ")", "foreign_keys(1)",
	}, "_txlock": {"immediate"}}
	if path == ":memory:" {
		db, err := sql.Open("sqlite", ":memory:?"+pragmas.Encode())
		if err == nil {
			db.SetMaxOpenConns(1) // each connection would be a database of its own
		}
		return db, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: pragmas.Encode()}).String())
}

func migrate(ctx context.Context, db *sql.DB, migrations []string) error {
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("%w (its schema is %d, this program knows %d): update the program", ErrNewer, version, len(migrations))
	}
	for ; version < len(migrations); version++ {
		if err := step(ctx, db, version, migrations[version]); err != nil {
			return fmt.Errorf("bring the schema to version %d: %w", version+1, err)
		}
	}
	return nil
}

func step(ctx context.Context, db *sql.DB, version int, migration string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	// The transaction holds the write lock: another program may have been here first.
	var now int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&now); err != nil {
		return err
	}
	if now > version {
		return nil
	}
	if _, err := tx.ExecContext(ctx, migration); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version+1)); err != nil {
		return err
	}
	return tx.Commit()
}
