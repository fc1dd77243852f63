package authority

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// A traitor has the key of one of the authorities, and says to each of the
// others what it likes.
type traitor struct {
	c      *council
	signer note.Signer
	as     int // which of the authorities it is
}

// betray replaces an authority by a traitor.
func (c *council) betray(i int) *traitor {
	c.t.Helper()
	c.stop(i)
	s, err := NewSigner("test", c.keys[i])
	if err != nil {
		c.t.Fatal(err)
	}
	return &traitor{c, s, i}
}

// answers sets what it answers to one of the others.
func (h *traitor) answers(to int, handler http.Handler) {
	h.c.wire.setFor(h.c.host(to), h.c.host(h.as), handler)
}

// votes returns a handler that shows votes with these opinions, and hands out
// their bodies.
func (h *traitor) votes(all ...[]opinion) http.Handler {
	mux := http.NewServeMux()
	bodies := make(map[string][]byte)
	mux.HandleFunc("GET /v1/votes", func(w http.ResponseWriter, r *http.Request) {
		period, err := time.Parse(time.RFC3339, r.URL.Query().Get("period"))
		if err != nil {
			h.c.t.Error(err)
		}
		var ballots []ballot
		for _, opinions := range all {
			b, body, err := makeBallot(&vote{author: h.signer.KeyHash(), period: period, opinions: opinions}, h.signer, "test")
			if err != nil {
				h.c.t.Error(err)
			}
			bodies[fmt.Sprintf("%x", b.body)] = body
			ballots = append(ballots, b)
		}
		b, err := encodeBallots(ballots)
		if err != nil {
			h.c.t.Error(err)
		}
		w.Write(b)
	})
	mux.HandleFunc("GET /v1/vote/{hash}", func(w http.ResponseWriter, r *http.Request) { w.Write(bodies[r.PathValue("hash")]) })
	return mux
}

// send posts objects to an authority as authorities do.
func (h *traitor) send(to int, all ...parcel) int {
	h.c.t.Helper()
	content, err := encodeBatch(all)
	if err != nil {
		h.c.t.Fatal(err)
	}
	message, err := sealMessage("test", h.signer, time.Now(), content)
	if err != nil {
		h.c.t.Fatal(err)
	}
	return h.c.post(to, "/v1/objects", message).StatusCode
}

// Whatever one of three does, the two others make the same map in every period.
func TestTraitor(t *testing.T) {
	none := []opinion{}
	withheld := []opinion{{ID: id(9), Descriptors: named("withheld"), Keys: named("withheld keys"), Reachable: true}}
	junk := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		b := make([]byte, 64<<10)
		rand.Read(b)
		w.Write(b)
	})
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for name, test := range map[string]struct {
		answers func(h *traitor)
		proof   bool
	}{
		"votes for nobody":     {func(h *traitor) { h.answers(0, h.votes(none)); h.answers(1, h.votes(none)) }, false},
		"says this and that":   {func(h *traitor) { h.answers(0, h.votes(none)); h.answers(1, h.votes(withheld)) }, true},
		"withholds a node":     {func(h *traitor) { h.answers(0, h.votes(withheld)); h.answers(1, h.votes(withheld)) }, false},
		"talks to one":         {func(h *traitor) { h.answers(0, h.votes(none)); h.answers(1, silent) }, false},
		"is silent":            {func(h *traitor) { h.answers(0, silent); h.answers(1, silent) }, false},
		"talks junk":           {func(h *traitor) { h.answers(0, junk); h.answers(1, junk) }, false},
		"is silent after that": {func(h *traitor) { h.answers(0, first(h.votes(none), silent)); h.answers(1, silent) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouncil(t, 3, 2)
				h := c.betray(2)
				test.answers(h)
				for n := range uint64(3) {
					c.publish(1, 0, 1)
					c.publish(2, 0)
					c.period()
					if m := c.agree(2); m.Sequence != n+1 {
						t.Errorf("map %d in period %d", m.Sequence, n+1)
					}
				}
				if got := strings.Contains(c.log.String(), "it is hostile"); got != test.proof || c.proofs(0) > 0 != test.proof {
					t.Errorf("equivocation logged: %v, with %d proofs on disk\n%s", got, c.proofs(0), c.log)
				}
			})
		})
	}
}

// first answers votes, and is another one for all else.
func first(votes, others http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/votes", votes)
	mux.Handle("/", others)
	return mux
}

// proofs returns how many an authority has kept.
func (c *council) proofs(i int) (n int) {
	c.t.Helper()
	if err := c.members[i].store.db.QueryRow("SELECT count(*) FROM equivocations").Scan(&n); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// What a traitor passes on is limited like what a node publishes, and what is
// wrong with one object keeps no other from being taken.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 3, 2)
		h := c.betray(2)
		now := time.Now()
		for n := range 20 {
			var all []parcel
			for i := range maxBatch - 1 {
				age := time.Duration(n*maxBatch+i) * time.Second
				all = append(all, parcel{kindDescriptor, descriptor(t, 5, now.Add(-age%maxSkew))})
			}
			all = append(all, parcel{kindDescriptor, []byte("junk")})
			if got := h.send(0, all...); got != http.StatusNoContent {
				t.Fatalf("status %d", got)
			}
		}
		c.members[0].nodes.mu.Lock()
		kept := len(c.members[0].nodes.byHash)
		c.members[0].nodes.mu.Unlock()
		if kept > keptOfEach {
			t.Errorf("%d descriptors of one node are kept", kept)
		}
		stranger := &traitor{c, h.signer, 2}
		if stranger.signer, _ = NewSigner("test", ed25519.NewKeyFromSeed(make([]byte, 32))); stranger.send(0) != http.StatusUnprocessableEntity {
			t.Error("a message of a stranger was taken")
		}
		c.publish(1, 0, 1)
		c.period()
		c.agree(1)
	})
}

// A node that publishes without end is told so.
func TestTooManyDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouncil(t, 1, 1)
		now := time.Now().Truncate(time.Second).Add(-time.Minute)
		for i := range nodeBurst {
			if r := c.post(0, "/v1/descriptors", descriptor(t, 1, now.Add(time.Duration(i)*time.Second))); r.StatusCode != http.StatusNoContent {
				t.Fatalf("descriptor %d: %s", i, r.Status)
			}
		}
		if r := c.post(0, "/v1/descriptors", descriptor(t, 1, now.Add(time.Minute))); r.StatusCode != http.StatusTooManyRequests {
			t.Errorf("one more: %s", r.Status)
		}
		for range sourceBurst {
			c.post(0, "/v1/keys", []byte("junk"))
		}
		if r := c.post(0, "/v1/descriptors", descriptor(t, 2, now)); r.StatusCode != http.StatusTooManyRequests {
			t.Errorf("after a flood from the same network: %s", r.Status)
		}
		time.Sleep(time.Minute)
		if r := c.post(0, "/v1/descriptors", descriptor(t, 2, now)); r.StatusCode != http.StatusNoContent {
			t.Errorf("a minute later: %s", r.Status)
		}
	})
}
