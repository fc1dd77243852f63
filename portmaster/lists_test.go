package portmaster

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// newList is one list with its copy in dir.
func newList(t *testing.T, dir, url string) *lists {
	t.Helper()
	l, err := newLists(dir, []ListSettings{{Name: "ads", URL: url, Refresh: Duration(defaultRefresh)}}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func blocked(l *lists, domain string) bool {
	for _, f := range l.feeds() {
		if _, ok := f.Lookup(domain); ok {
			return true
		}
	}
	return false
}

func TestTheLastGoodListHolds(t *testing.T) {
	var text, status atomic.Value
	text.Store("0.0.0.0 ads.example\n")
	status.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status.Load().(int))
		io.WriteString(w, text.Load().(string)) //nolint:errcheck // the test sees what arrives
	}))
	defer server.Close()
	dir := t.TempDir()
	l := newList(t, dir, server.URL)
	var changes int
	l.changed = func() { changes++ }
	l.load(t.Context())
	if !blocked(l, "ads.example") || changes != 1 {
		t.Fatalf("after the first fetch: %+v, %d changes", l.status(), changes)
	}
	l.refresh(t.Context(), l.all[0])
	if changes != 1 {
		t.Error("the same list again counts as a change")
	}
	text.Store("0.0.0.0 more.example\n")
	l.refresh(t.Context(), l.all[0])
	if !blocked(l, "more.example") || blocked(l, "ads.example") || changes != 2 {
		t.Errorf("the new list is not in force: %d changes", changes)
	}
	status.Store(http.StatusInternalServerError)
	l.refresh(t.Context(), l.all[0])
	if s := l.status()[0]; !blocked(l, "more.example") || !strings.Contains(s.Error, "500") || s.Entries != 1 || s.Fetched == nil {
		t.Errorf("when the server fails: %+v", s)
	}

	server.Close()
	again := newList(t, dir, server.URL)
	again.load(t.Context())
	if !blocked(again, "more.example") {
		t.Errorf("after a restart without the server: %+v", again.status())
	}
}

func TestListsAreFetchedAgainSoonerAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newList(t, t.TempDir(), "/there/is/no/such.hosts")
		if p := l.all[0].pause(); p != listRetry {
			t.Errorf("the first pause is %v", p)
		}
		start := time.Now()
		ctx := t.Context()
		go l.run(ctx)
		time.Sleep(listRetry + time.Second)
		if s := l.all[0].loader.Status(); s.Err == nil || time.Since(start) < listRetry {
			t.Errorf("no attempt was made: %+v", s)
		}
	})
}
