package client

import (
	"strings"
	"testing"
	"time"

	"safing/netmap"
	"safing/netmap/netmaptest"
)

// A client without a valid map says so, and why.
func TestProblem(t *testing.T) {
	c, err := New(t.Context(), Config{Network: netmaptest.Silent(), State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if p := c.Status().Problem; !strings.HasPrefix(p, ErrNoMap.Error()) {
		t.Errorf("without a map the problem is %q", p)
	}
	now := time.Now()
	for _, test := range []struct {
		until time.Time
		want  string
	}{{now.Add(time.Hour), ""}, {now.Add(-time.Second), netmap.ErrExpired.Error()}} {
		m, err := netmap.New("test", 1, now.Add(-time.Hour), test.until, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.setMap(m)
		if p := c.Status().Problem; !strings.HasPrefix(p, test.want) || (p == "") != (test.want == "") {
			t.Errorf("with a map until %v the problem is %q, want %q", test.until, p, test.want)
		}
	}
}
