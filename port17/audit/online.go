package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// mostNamed is how many nodes a step names.
const mostNamed = 5

// CheckLogs asks every authority for the log, and whether it has the map. One
// that can't be asked is a warning.
func (r *Report) CheckLogs(ctx context.Context) {
	for _, a := range r.network.Authorities {
		l, err := DialLog(ctx, r.network, a.URL)
		if err == nil {
			err = l.Has(ctx, r.Checkpoint)
		}
		switch {
		case errors.Is(err, ErrLog):
			r.refuse("log", fmt.Errorf("%s: %w", a.URL, err))
		case err != nil:
			r.warn("log", "%s can't be asked: %v", a.URL, err)
		default:
			r.ok("log", "%s: its log of %d leaves goes on from the map's %d", a.URL, l.Size(), r.Checkpoint.Size)
		}
	}
}

// CheckFollows asks the authorities to prove that the map is of the same log as
// an older one, or a newer one.
func (r *Report) CheckFollows(ctx context.Context, other *Report) {
	old, next := other.Checkpoint, r.Checkpoint
	if old.Size > next.Size {
		old, next = next, old
	}
	if old.Size == next.Size && old.Root == next.Root {
		r.ok("consistent", "map %d is the other map", r.Header.Sequence)
		return
	}
	var errs []error
	for _, a := range r.network.Authorities {
		l, err := DialLog(ctx, r.network, a.URL)
		if err == nil {
			err = l.Follows(ctx, old, next)
		}
		switch {
		case errors.Is(err, ErrLog):
			r.refuse("consistent", fmt.Errorf("%s: %w", a.URL, err))
			return
		case err == nil:
			r.ok("consistent", "the log of map %d goes on from that of map %d, as %s proves", next.Size-1, old.Size-1, a.URL)
			return
		}
		errs = append(errs, err)
	}
	r.warn("consistent", "no authority can be asked to prove it: %v", errors.Join(errs...))
}

// CheckKeys gets the keys that the map names and has not brought with it, and
// looks at them. Each node has signed its own, bound to what the map says of it.
func (r *Report) CheckKeys(ctx context.Context, at time.Time) {
	m, err := fetchKeys(ctx, r.network, r.Map)
	r.Map = m
	if err != nil {
		r.warn("keys", "some can't be had: %v", err)
	}
	var without []string
	for _, n := range r.Map.Nodes {
		if _, err := n.Prekey(at); err != nil {
			without = append(without, n.Name)
		}
	}
	slices.Sort(without)
	signed := len(r.Map.Nodes) - len(without)
	if len(without) == 0 {
		r.ok("keys", "all %d nodes have signed keys that are valid now, bound to what the map says of them", signed)
		return
	}
	more := ""
	if len(without) > mostNamed {
		without, more = without[:mostNamed], ", …"
	}
	r.warn("keys", "%d of %d nodes have signed keys that are valid now, bound to what the map says of them; not %s%s: nobody can use these",
		signed, len(r.Map.Nodes), strings.Join(without, ", "), more)
}
