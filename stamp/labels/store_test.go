package labels

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fresh returns a store without entries whose clock stands still.
func fresh(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "stamp.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if _, err := s.db.Exec("DELETE FROM entries; DELETE FROM labels"); err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return time.Unix(1_000_000, 0) }
	return s
}

func add(t *testing.T, s *Store, label string, domains ...string) {
	t.Helper()
	if _, err := s.Add(t.Context(), label, "", domains...); err != nil {
		t.Fatal(err)
	}
}

func find(t *testing.T, s *Store, q Query) (names []string, total int) {
	t.Helper()
	p, err := s.Find(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range p.Entries {
		names = append(names, e.Label+" "+e.Domain)
	}
	return names, p.Total
}

func TestNewStoreHasTheStarterSetOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stamp.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for label, domains := range starter() {
		f, err := s.Feed(t.Context(), label)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(domains, f.Domains); diff != "" {
			t.Errorf("%s (-want +got):\n%s", label, diff)
		}
		for _, domain := range f.Domains {
			if !strings.HasSuffix(domain, ".test") {
				t.Errorf("%s is a name that somebody can have", domain)
			}
		}
		if _, err := s.Remove(t.Context(), label, domains...); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	if s, err = Open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if names, _ := find(t, s, Query{}); len(names) != 0 {
		t.Errorf("what was removed came back: %v", names)
	}
	if f, err := s.Feed(t.Context(), "ads"); err != nil || len(f.Domains) != 0 {
		t.Errorf("the feed of a label that nothing carries: %v, %v", f, err)
	}
}

func TestAddAndRemove(t *testing.T) {
	s := fresh(t)
	n, err := s.Add(t.Context(), "ads", " seen in the wild ", "B.test", "a.test.", "b.test")
	if n != 2 || err != nil {
		t.Fatalf("got %d, %v; want 2", n, err)
	}
	s.now = func() time.Time { return time.Unix(2_000_000, 0) }
	if n, err = s.Add(t.Context(), "ads", "", "a.test"); n != 0 || err != nil {
		t.Fatalf("again: got %d, %v; want 0", n, err)
	}
	if _, err = s.Add(t.Context(), "ads", "proof", "b.test"); err != nil {
		t.Fatal(err)
	}
	p, err := s.Find(t.Context(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	then := time.Unix(1_000_000, 0).UTC()
	want := []Entry{{"ads", "a.test", "seen in the wild", then}, {"ads", "b.test", "proof", then}}
	if diff := cmp.Diff(want, p.Entries); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n, err = s.Remove(t.Context(), "ads", "A.test", "never.test"); n != 1 || err != nil {
		t.Errorf("remove: got %d, %v; want 1", n, err)
	}
	if names, _ := find(t, s, Query{}); !cmp.Equal(names, []string{"ads b.test"}) {
		t.Errorf("left: %v", names)
	}
}

func TestAddIsAllOrNothing(t *testing.T) {
	s := fresh(t)
	for _, c := range []struct {
		label, why string
		domains    []string
		want       string
	}{
		{"ads", "", []string{"good.test", "bad"}, "not a domain"},
		{"Ads", "", []string{"good.test"}, "not a label"},
		{"ads", "two\nlines", []string{"good.test"}, "line break"},
		{"ads", strings.Repeat("x", MaxWhy+1), []string{"good.test"}, "281 bytes"},
		{"ads", "", make([]string, MaxDomains+1), "at most"},
	} {
		if _, err := s.Add(t.Context(), c.label, c.why, c.domains...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q in it", err, c.want)
		}
	}
	counts, err := s.Labels(t.Context())
	if err != nil || len(counts) != 0 {
		t.Errorf("something stayed: %v, %v", counts, err)
	}
}

func TestLabelsAreBounded(t *testing.T) {
	s := fresh(t)
	for i := range MaxLabels {
		add(t, s, fmt.Sprintf("label-%d", i), "a.test")
	}
	if _, err := s.Add(t.Context(), "one-more", "", "a.test"); !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	if _, err := s.Changed(t.Context(), "one-more"); !errors.Is(err, ErrNoLabel) {
		t.Errorf("the label stayed: %v", err)
	}
}

func TestFind(t *testing.T) {
	s := fresh(t)
	add(t, s, "ads", "a.test", "b.test", "a_b.test", "bücher.test")
	add(t, s, "tracker", "a.test", "100.test")
	for _, c := range []struct {
		q     Query
		want  []string
		total int
	}{
		{Query{Label: "tracker"}, []string{"tracker 100.test", "tracker a.test"}, 2},
		{Query{Text: "B.T"}, []string{"ads a_b.test", "ads b.test"}, 2},
		{Query{Text: "cdn.x.a.test"}, []string{"ads a.test", "tracker a.test"}, 2},
		{Query{Text: "cdn.x.a.test", Label: "ads"}, []string{"ads a.test"}, 1},
		{Query{Text: "Bücher.test"}, []string{"ads xn--bcher-kva.test"}, 1},
		{Query{Text: "_"}, []string{"ads a_b.test"}, 1},
		{Query{Text: "%"}, nil, 0},
		{Query{Text: `\`}, nil, 0},
		{Query{Label: "ads' OR 1=1 --"}, nil, 0},
		{Query{Limit: 2, Skip: 1}, []string{"ads a_b.test", "ads b.test"}, 6},
		{Query{Skip: 100}, nil, 6},
	} {
		names, total := find(t, s, c.q)
		if diff := cmp.Diff(c.want, names); diff != "" || total != c.total {
			t.Errorf("%+v: %d in all, want %d (-want +got):\n%s", c.q, total, c.total, diff)
		}
	}
}

func TestFeedTellsChanges(t *testing.T) {
	s := fresh(t)
	if _, err := s.Feed(t.Context(), "ads"); !errors.Is(err, ErrNoLabel) {
		t.Errorf("got %v, want ErrNoLabel", err)
	}
	add(t, s, "ads", "b.test", "a.test")
	first, err := s.Feed(t.Context(), "ads")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := first.WriteHosts(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text.String(), "# Stamp: ") || !strings.HasSuffix(text.String(), "\n0.0.0.0 a.test\n0.0.0.0 b.test\n") {
		t.Errorf("got %q", text.String())
	}
	changed := func() time.Time {
		at, err := s.Changed(t.Context(), "ads")
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	add(t, s, "ads", "a.test")
	add(t, s, "other", "c.test")
	if !changed().Equal(first.Changed) {
		t.Error("the time moved though nothing changed")
	}
	add(t, s, "ads", "c.test") // within the same second of the clock
	second := changed()
	if !second.After(first.Changed) {
		t.Error("the time did not move with a new domain")
	}
	if _, err := s.Remove(t.Context(), "ads", "c.test"); err != nil {
		t.Fatal(err)
	}
	if !changed().After(second) {
		t.Error("the time did not move with a removal")
	}
}

func TestTwoStoresShareAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stamp.db")
	made, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	var stores [2]*Store
	var wg sync.WaitGroup
	for i := range stores {
		wg.Go(func() {
			s, err := Open(t.Context(), path)
			if err != nil {
				t.Error(err)
				return
			}
			stores[i] = s
			for n := range 20 {
				if _, err := s.Add(t.Context(), "ads", "", fmt.Sprintf("n%d.s%d.test", n, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, s := range stores {
		if s == nil {
			t.Fatal("a store did not open")
		}
		defer s.Close()
		f, err := s.Feed(t.Context(), "ads")
		if err != nil {
			t.Fatal(err)
		}
		if want := 40 + len(starter()["ads"]); len(f.Domains) != want {
			t.Errorf("got %d domains, want %d", len(f.Domains), want)
		}
	}
}

func TestEndedContext(t *testing.T) {
	s := fresh(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Add(ctx, "ads", "", "a.test"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
	if _, err := s.Find(ctx, Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}
