package labels

import (
	"context"
	"database/sql"
)

// starter is what a new store holds. The names lie below .test, which nobody
// can register (RFC 6761 section 6.2).
func starter() map[string][]string {
	return map[string][]string{
		"ads":     {"ads.test", "banners.test", "popup.test"},
		"malware": {"dropper.test", "malware.test"},
		"tracker": {"beacon.test", "pixel.test", "tracker.test"},
	}
}

const starterWhy = "Starter set, to try things out"

// start fills a store that never had a label.
func (s *Store) start(ctx context.Context) error {
	var labels int
	if err := s.db.QueryRowContext(ctx, "SELECT count(*) FROM labels").Scan(&labels); err != nil || labels > 0 {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		// Another program may have been quicker; then nothing is added.
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM labels").Scan(&labels); err != nil || labels > 0 {
			return err
		}
		for label, domains := range starter() {
			if _, err := s.add(ctx, tx, label, starterWhy, domains); err != nil {
				return err
			}
		}
		return nil
	})
}
