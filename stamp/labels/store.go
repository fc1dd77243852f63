package labels

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"safing/internal/sqlite"
)

// Bounds of a store.
const (
	// MaxDomains is how many entries a store holds in all.
	MaxDomains = 500_000
	// MaxLabels is how many labels a store holds.
	MaxLabels = 64
	// MaxWhy is the length of an entry's reason, in bytes.
	MaxWhy = 280
)

var (
	// ErrFull means that the store holds as much as it may.
	ErrFull = fmt.Errorf("a store holds at most %d domains and %d labels", MaxDomains, MaxLabels)
	// ErrNoLabel means that the store has no such label.
	ErrNoLabel = errors.New("no such label")
)

// An Entry is a label on a domain.
type Entry struct {
	Label  string    `json:"label"`
	Domain string    `json:"domain"` // lower case, A-labels, no final dot
	Why    string    `json:"why"`    // the reason or the source, one line, may be empty
	Added  time.Time `json:"added"`  // UTC, whole seconds
}

// A Store holds entries. Use [Open].
type Store struct {
	db  *sql.DB
	now func() time.Time
}

// migrations build the schema. A label outlives its entries, so that its
// feed's address stays good.
func migrations() []string {
	return []string{`
CREATE TABLE labels (
	name    TEXT PRIMARY KEY,
	changed INTEGER NOT NULL -- Unix seconds
) WITHOUT ROWID;
CREATE TABLE entries (
	label  TEXT NOT NULL REFERENCES labels (name),
	domain TEXT NOT NULL,
	why    TEXT NOT NULL,
	added  INTEGER NOT NULL, -- Unix seconds
	PRIMARY KEY (label, domain)
) WITHOUT ROWID;
CREATE INDEX entries_domain ON entries (domain);
`}
}

// Open opens the store in the database file at path and makes it when there
// is none. A store that never had a label gets the starter set.
func Open(ctx context.Context, path string) (*Store, error) {
	db, err := sqlite.Open(ctx, path, migrations())
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, now: time.Now}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("fill the new store %s: %w", path, err), db.Close())
	}
	return s, nil
}

// Close closes the store. It may be called more than once.
func (s *Store) Close() error { return s.db.Close() }

// Add labels domains, all or none, and returns how many did not carry the
// label before. Those which did keep their date, and their reason unless why
// gives a new one.
func (s *Store) Add(ctx context.Context, label, why string, domains ...string) (added int, err error) {
	if err := checkLabel(label); err != nil {
		return 0, err
	}
	if why, err = checkWhy(why); err != nil {
		return 0, err
	}
	normal, err := parseDomains(domains)
	if err != nil {
		return 0, err
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		added, err = s.add(ctx, tx, label, why, normal)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("add to %s: %w", label, err)
	}
	return added, nil
}

func (s *Store) add(ctx context.Context, tx *sql.Tx, label, why string, domains []string) (added int, err error) {
	now := s.now().Unix()
	if _, err := tx.ExecContext(ctx, "INSERT INTO labels VALUES (?, ?) ON CONFLICT DO NOTHING", label, now); err != nil {
		return 0, err
	}
	insert, err := tx.PrepareContext(ctx, "INSERT INTO entries VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
	if err != nil {
		return 0, err
	}
	defer insert.Close()
	for _, domain := range domains {
		n, err := affected(insert.ExecContext(ctx, label, domain, why, now))
		if err != nil {
			return 0, err
		}
		added += n
		if n == 0 && why != "" {
			if _, err := tx.ExecContext(ctx, "UPDATE entries SET why = ? WHERE label = ? AND domain = ?", why, label, domain); err != nil {
				return 0, err
			}
		}
	}
	if added > 0 {
		err = touch(ctx, tx, label, now)
	}
	return added, errors.Join(err, checkSize(ctx, tx))
}

// Remove takes a label from domains, all or none, and returns from how many.
func (s *Store) Remove(ctx context.Context, label string, domains ...string) (removed int, err error) {
	normal, err := parseDomains(domains)
	if err != nil {
		return 0, err
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		removed = 0
		for _, domain := range normal {
			n, err := affected(tx.ExecContext(ctx, "DELETE FROM entries WHERE label = ? AND domain = ?", label, domain))
			if err != nil {
				return err
			}
			removed += n
		}
		if removed == 0 {
			return nil
		}
		return touch(ctx, tx, label, s.now().Unix())
	})
	if err != nil {
		return 0, fmt.Errorf("remove from %s: %w", label, err)
	}
	return removed, nil
}

// change runs f in a transaction.
func (s *Store) change(ctx context.Context, f func(*sql.Tx) error) error {
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

// touch records that a label's domains changed, later than any time before:
// feeds tell by it whether a copy is old.
func touch(ctx context.Context, tx *sql.Tx, label string, now int64) error {
	_, err := tx.ExecContext(ctx, "UPDATE labels SET changed = max(changed + 1, ?) WHERE name = ?", now, label)
	return err
}

func checkSize(ctx context.Context, tx *sql.Tx) error {
	var domains, labels int
	row := tx.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM labels)")
	if err := row.Scan(&domains, &labels); err != nil {
		return err
	}
	if domains > MaxDomains || labels > MaxLabels {
		return ErrFull
	}
	return nil
}

func affected(r sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

func parseDomains(texts []string) ([]string, error) {
	if len(texts) > MaxDomains {
		return nil, ErrFull
	}
	domains := make([]string, len(texts))
	for i, text := range texts {
		var err error
		if domains[i], err = ParseDomain(text); err != nil {
			return nil, err
		}
	}
	return domains, nil
}

func checkWhy(why string) (string, error) {
	why = strings.TrimSpace(why)
	if len(why) > MaxWhy {
		return "", fmt.Errorf("the reason has %d bytes, more than %d", len(why), MaxWhy)
	}
	if strings.ContainsFunc(why, unicode.IsControl) || strings.ToValidUTF8(why, "") != why {
		return "", errors.New("the reason has a line break or another control character")
	}
	return why, nil
}
