package directory

import (
	"net/http"
	"strings"
	"testing"
)

// A map older than one that was seen is refused, even though it is signed.
func TestRollBack(t *testing.T) {
	c, older := following(t, func(r *http.Request) (*http.Response, error) { return answer(r, http.StatusNotFound, nil) })
	if _, err := c.take(older); err != nil {
		t.Fatal(err)
	}
	c.newest.Sequence++ // as if a newer one had come
	if _, err := c.take(older); err == nil || !strings.Contains(err.Error(), "was seen already") {
		t.Errorf("an older map: %v", err)
	}
}
