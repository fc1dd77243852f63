package directory

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"safing/netmap"
)

// Who answers for an authority can't make clients and nodes ask others.
func TestNoRedirect(t *testing.T) {
	var asked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(other.Close)
	for _, status := range []int{http.StatusFound, http.StatusTemporaryRedirect} {
		s := httptest.NewServer(http.RedirectHandler(other.URL, status))
		t.Cleanup(s.Close)
		c := New(Config{Network: &netmap.Network{Name: "test", Threshold: 1, Authorities: []netmap.Authority{{URL: s.URL}}}})
		t.Cleanup(c.http.CloseIdleConnections)
		_, fetch := c.Fetch(t.Context())
		publish := c.Publish(t.Context(), []byte("descriptor"))
		for what, err := range map[string]error{"fetch": fetch, "publish": publish} {
			if err == nil || !strings.Contains(err.Error(), http.StatusText(status)) {
				t.Errorf("%s: %v, want %q in it", what, err, http.StatusText(status))
			}
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("another server was asked %d times", n)
	}
}
