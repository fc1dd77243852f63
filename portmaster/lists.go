package portmaster

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"safing/feed"
	"safing/portmaster/api"
)

const (
	listFirst = 5 * time.Second // for the attempt before the start, when none is on disk
	listRetry = time.Minute     // after an attempt that did not work, or sooner if refresh says so
)

// lists are the filter lists of the settings. Each is fetched again and again.
type lists struct {
	log     *slog.Logger
	changed func() // a list has other entries now; set before run
	all     []*list
}

// A list is one filter list.
type list struct {
	ListSettings
	loader *feed.Loader
}

// newLists takes the copies of the lists that are in a folder.
func newLists(dir string, settings []ListSettings, log *slog.Logger) (*lists, error) {
	l := &lists{log: log, changed: func() {}}
	for _, s := range settings {
		loader, err := feed.NewLoader(feed.LoaderConfig{
			Name: s.Name, URL: s.URL, Copy: filepath.Join(dir, s.Name+".hosts"),
		})
		if err != nil {
			return nil, err
		}
		l.all = append(l.all, &list{s, loader})
	}
	return l, nil
}

// load has every list ready before the first connection is judged: from the
// disk, else from its server if that answers at once.
func (l *lists) load(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, listFirst)
	defer cancel()
	var fetches sync.WaitGroup
	for _, s := range l.all {
		if s.loader.Status().Feed == nil {
			fetches.Go(func() { l.refresh(ctx, s) })
		}
	}
	fetches.Wait()
}

// run fetches every list again and again until ctx ends.
func (l *lists) run(ctx context.Context) {
	var loops sync.WaitGroup
	for _, s := range l.all {
		loops.Go(func() {
			for wait(ctx, s.pause()) {
				l.refresh(ctx, s)
			}
		})
	}
	loops.Wait()
}

// pause is how long to wait for the next attempt.
func (s *list) pause() time.Duration {
	if st := s.loader.Status(); st.Err != nil || st.Fetched.IsZero() {
		return min(time.Duration(s.Refresh), listRetry)
	}
	return time.Duration(s.Refresh)
}

// refresh fetches a list and puts it in force if it is another. The log has a
// line when fetching begins to fail.
func (l *lists) refresh(ctx context.Context, s *list) {
	before := s.loader.Status().Err
	changed, err := s.loader.Fetch(ctx)
	if err != nil && before == nil && ctx.Err() == nil {
		l.log.Warn("fetch a list", "list", s.Name, "error", err)
	}
	if changed {
		l.changed()
	}
}

// feeds are the lists that could be had.
func (l *lists) feeds() []*feed.Feed {
	var all []*feed.Feed
	for _, s := range l.all {
		if f := s.loader.Status().Feed; f != nil {
			all = append(all, f)
		}
	}
	return all
}

// status says how each list fares.
func (l *lists) status() []api.List {
	all := make([]api.List, 0, len(l.all))
	for _, s := range l.all {
		st := s.loader.Status()
		a := api.List{Name: s.Name, URL: s.URL}
		if st.Feed != nil {
			a.Entries = st.Feed.Len()
		}
		if !st.Fetched.IsZero() {
			a.Fetched = &st.Fetched
		}
		if st.Err != nil {
			a.Error = st.Err.Error()
		}
		all = append(all, a)
	}
	return all
}
