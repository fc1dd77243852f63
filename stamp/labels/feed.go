package labels

import (
	"context"
	"fmt"
	"io"
	"time"

	"safing/feed"
)

// A Feed is a label's domains, for programs.
type Feed struct {
	Label   string
	Domains []string // in order
	Changed time.Time
}

// Feed returns the feed of a label, or [ErrNoLabel].
func (s *Store) Feed(ctx context.Context, label string) (*Feed, error) {
	// The time is read first: when a change comes between the two, the next
	// look at the time shows that this feed is old.
	changed, err := s.Changed(ctx, label)
	if err != nil {
		return nil, err
	}
	f := &Feed{Label: label, Changed: changed}
	err = s.Each(ctx, label, func(e Entry) error {
		f.Domains = append(f.Domains, e.Domain)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// WriteHosts writes the feed in the hosts format. The same domains give the
// same bytes.
func (f *Feed) WriteHosts(w io.Writer) error {
	header := fmt.Sprintf("Stamp: domains with the label %s\n%d in all. A filter should treat their subdomains alike.",
		f.Label, len(f.Domains))
	return feed.WriteHosts(w, header, f.Domains)
}
