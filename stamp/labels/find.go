package labels

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Query selects entries.
type Query struct {
	Label string // only this label; "" is any
	Text  string // part of the domain, or a domain whose parents match too; "" is any
	Limit int    // at most so many, 1 to 1000; 0 is 100
	Skip  int    // leave out so many of the first
}

// A Page is a part of what a query selects, by label and domain.
type Page struct {
	Entries []Entry
	Total   int // how many entries match in all
}

// Find returns a page of the entries that match.
func (s *Store) Find(ctx context.Context, q Query) (*Page, error) {
	where, args := q.where()
	p := &Page{}
	if err := s.db.QueryRowContext(ctx, "SELECT count(*) FROM entries"+where, args...).Scan(&p.Total); err != nil {
		return nil, fmt.Errorf("count entries: %w", err)
	}
	limit := min(q.Limit, 1000)
	if limit <= 0 {
		limit = 100
	}
	err := s.each(ctx, where+" ORDER BY label, domain LIMIT ? OFFSET ?", append(args, limit, max(q.Skip, 0)),
		func(e Entry) error {
			p.Entries = append(p.Entries, e)
			return nil
		})
	return p, err
}

// Each calls f with all entries of a label, or of all labels when it is "",
// by label and domain, until f fails.
func (s *Store) Each(ctx context.Context, label string, f func(Entry) error) error {
	where, args := Query{Label: label}.where()
	return s.each(ctx, where+" ORDER BY label, domain", args, f)
}

func (s *Store) each(ctx context.Context, rest string, args []any, f func(Entry) error) (err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT label, domain, why, added FROM entries"+rest, args...)
	if err != nil {
		return fmt.Errorf("read entries: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e Entry
		var added int64
		if err := rows.Scan(&e.Label, &e.Domain, &e.Why, &added); err != nil {
			return fmt.Errorf("read entries: %w", err)
		}
		e.Added = time.Unix(added, 0).UTC()
		if err := f(e); err != nil {
			return err
		}
	}
	return rows.Err()
}

// where is the query's condition with its arguments.
func (q Query) where() (string, []any) {
	var conditions []string
	var args []any
	if q.Label != "" {
		conditions, args = append(conditions, "label = ?"), append(args, q.Label)
	}
	if text := strings.ToLower(strings.TrimSpace(q.Text)); text != "" {
		condition := `domain LIKE ? ESCAPE '\'`
		domain, err := ParseDomain(text)
		if err == nil {
			text = domain
		}
		text = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
		args = append(args, "%"+text+"%")
		for parent := parentOf(domain); parent != ""; parent = parentOf(parent) {
			condition += " OR domain = ?"
			args = append(args, parent)
		}
		conditions = append(conditions, "("+condition+")")
	}
	if len(conditions) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(conditions, " AND "), args
}

// parentOf is the domain without its first part, "" when that leaves none.
func parentOf(domain string) string {
	_, parent, _ := strings.Cut(domain, ".")
	return parent
}

// A Count is a label with the number of its domains.
type Count struct {
	Label   string
	Domains int
	Changed time.Time // when domains were last added or removed, UTC
}

// Labels returns all labels by name, also those which no domain carries now.
func (s *Store) Labels(ctx context.Context) (counts []Count, err error) {
	rows, err := s.db.QueryContext(ctx,
		"SELECT name, changed, (SELECT count(*) FROM entries WHERE label = name) FROM labels ORDER BY name")
	if err != nil {
		return nil, fmt.Errorf("read labels: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var c Count
		var changed int64
		if err := rows.Scan(&c.Label, &changed, &c.Domains); err != nil {
			return nil, fmt.Errorf("read labels: %w", err)
		}
		c.Changed = time.Unix(changed, 0).UTC()
		counts = append(counts, c)
	}
	return counts, rows.Err()
}

// Changed returns when a label's domains last changed, UTC. No two states of
// a label have the same time. The error is [ErrNoLabel] when there is none.
func (s *Store) Changed(ctx context.Context, label string) (time.Time, error) {
	var changed int64
	err := s.db.QueryRowContext(ctx, "SELECT changed FROM labels WHERE name = ?", label).Scan(&changed)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, fmt.Errorf("%w: %q", ErrNoLabel, shorten(label))
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read label %s: %w", label, err)
	}
	return time.Unix(changed, 0).UTC(), nil
}
