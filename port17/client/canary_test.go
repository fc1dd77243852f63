package client

import (
	"bytes"
	"crypto/rand"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/netmap"
)

// What is wrong with an authority's canary is said, and circuits are not built
// then if they are not to be.
func TestCanary(t *testing.T) {
	skey, vkey, err := note.GenerateKey(rand.Reader, "test")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	network := &netmap.Network{Name: "test", Threshold: 1, Authorities: []netmap.Authority{{URL: "http://127.0.0.1:1", Key: vkey}}}
	for _, test := range []struct {
		name   string
		canary *netmap.Canary
		want   string
		quiet  bool // unless circuits are to stop
	}{
		{"good", &netmap.Canary{Date: now.Add(-time.Hour), Until: now.Add(time.Hour), Good: true}, "", false},
		// Maps are valid from before what they are made of.
		{"said just before the map", &netmap.Canary{Date: now.Add(-10 * time.Second), Until: now.Add(time.Hour), Good: true}, "", false},
		{"withdrawn just before the map", &netmap.Canary{Date: now.Add(-10 * time.Second), Until: now.Add(time.Hour)}, "has withdrawn its canary", false},
		{"withdrawn", &netmap.Canary{Date: now.Add(-time.Hour), Until: now.Add(time.Hour)}, "has withdrawn its canary", false},
		{"late", &netmap.Canary{Date: now.Add(-2 * time.Hour), Until: now.Add(-time.Hour), Good: true}, "there is no new one", false},
		{"missing", nil, "has published no canary", true},
	} {
		for _, stop := range []bool{false, true} {
			var log bytes.Buffer
			c, err := New(t.Context(), Config{Network: network, State: t.TempDir(), StopWithoutCanary: stop})
			if err != nil {
				t.Fatal(err)
			}
			c.config.Log = slog.New(slog.NewTextHandler(&log, nil))
			m, err := netmap.New("test", 1, now.Add(-time.Minute), now.Add(time.Hour), nil)
			if err != nil {
				t.Fatal(err)
			}
			if test.canary != nil {
				test.canary.Network = "test"
				signed, err := test.canary.Sign(signer)
				if err != nil {
					t.Fatal(err)
				}
				m.Notices = []netmap.Notice{{Signed: signed}}
			}
			c.setMap(m)
			c.setMap(m)
			want := test.want
			if test.quiet && !stop {
				want = ""
			}
			said := strings.Join(c.Status().Canaries, ", ")
			if !strings.Contains(said, want) || (said == "") != (want == "") {
				t.Errorf("%s: the status says %q, want %q in it", test.name, said, want)
			}
			if n := strings.Count(log.String(), "an authority's canary"); (n == 1) != (want != "") || !strings.Contains(log.String(), want) {
				t.Errorf("%s: the log says %q, want %q in it once", test.name, log.String(), want)
			}
			_, err = c.usable()
			if stopped := stop && want != ""; errors.Is(err, ErrCanary) != stopped || stopped && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: circuits: %v", test.name, err)
			}
			c.Close()
		}
	}
}
