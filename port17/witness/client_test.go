package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"safing/internal/sqlite"
	log "safing/internal/tlog"
	"safing/netmap"
)

func newClient(t testing.TB, c ClientConfig) *Client {
	t.Helper()
	client := NewClient(c)
	t.Cleanup(client.Close)
	return client
}

// A log in a database, an authority's client and two witnesses, from the first
// leaf on.
func TestCosign(t *testing.T) {
	ctx := t.Context()
	k := newKeeper(t, 2)
	k.watch(1, t.TempDir(), nil)
	k.watch(2, t.TempDir(), nil)
	k.network.WitnessThreshold = 2
	db, err := sqlite.Open(ctx, ":memory:", []string{log.Schema})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	first := newClient(t, ClientConfig{Network: k.network})
	second := newClient(t, ClientConfig{Network: k.network})
	for n := range 10 {
		leaf := fmt.Appendf(nil, "leaf %d\n", n)
		tree, err := log.At(ctx, db)
		if err != nil {
			t.Fatal(err)
		}
		if tree, err = tree.With(ctx, leaf); err != nil { // it is cosigned before it is kept
			t.Fatal(err)
		}
		root, err := tree.Root(ctx)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := netmap.SignCheckpoint(netmap.MakeCheckpoint(network, tree.Size(), root), k.signers...)
		if err != nil {
			t.Fatal(err)
		}
		clients := []*Client{first, second}
		if n%3 == 0 {
			clients = clients[1:] // what the other then learns from the witnesses
		}
		for _, c := range clients {
			cosigned, err := c.Cosign(ctx, signed, tree.ProveFrom)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.network.OpenWitnessed(cosigned); err != nil {
				t.Error(err)
			}
			if a, w, err := k.network.CountSignatures(cosigned); a != 2 || w != 2 || err != nil {
				t.Errorf("signed by %d and %d, %v", a, w, err)
			}
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(ctx, tx, leaf); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
}

// Authorities that ask at once all get what they ask for.
func TestCosignAtOnce(t *testing.T) {
	k := newKeeper(t, 1)
	k.watch(1, t.TempDir(), nil)
	k.network.WitnessThreshold = 1
	for size := int64(1); size < 5; size++ {
		k.grow(size, "leaf")
		var all sync.WaitGroup
		for range 4 {
			c := newClient(t, ClientConfig{Network: k.network})
			all.Go(func() {
				if _, err := c.Cosign(context.WithoutCancel(t.Context()), k.checkpoint(size), k.prover(size)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
}

// Witnesses tell what they have cosigned, with the signatures of authorities.
func TestKnown(t *testing.T) {
	k := newKeeper(t, 1)
	k.watch(1, t.TempDir(), nil)
	k.watch(2, t.TempDir(), nil)
	k.serve(3, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) })
	k.network.WitnessThreshold = 2
	c := newClient(t, ClientConfig{Network: k.network})
	if notes := c.Known(t.Context()); len(notes) > 0 {
		t.Errorf("of a log that nobody has seen they know %q", notes)
	}
	k.grow(3, "leaf")
	if _, err := c.Cosign(t.Context(), k.checkpoint(3), k.prover(3)); err != nil {
		t.Fatal(err)
	}
	notes := c.Known(t.Context())
	for _, note := range notes {
		if got, err := k.network.OpenCheckpoint(note); err != nil || got.Size != 3 {
			t.Errorf("a witness knows %d leaves: %v", got.Size, err)
		}
	}
	if len(notes) != 2 {
		t.Errorf("%d witnesses know it, want 2", len(notes))
	}
}

// serve adds a witness that answers so.
func (k *keeper) serve(seed byte, h http.HandlerFunc) {
	server := httptest.NewServer(h)
	k.t.Cleanup(server.Close)
	k.addWitness(seed, server.URL)
}

// A witness that does not do its duty stops nobody, as long as there are enough
// others.
func TestBadWitness(t *testing.T) {
	k := newKeeper(t, 1).grow(3, "leaf")
	stranger := newWitness(t, k.network, 99, t.TempDir(), nil)
	checkpoint := k.checkpoint(3)
	var elsewhere atomic.Bool
	sink := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Store(true) }))
	defer sink.Close()
	sizes := int64(0)
	for want, h := range map[string]http.HandlerFunc{
		"500 Internal Server Error: broken": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) },
		"403 Forbidden":                     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
		"307 Temporary Redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, sink.URL, http.StatusTemporaryRedirect)
		},
		"is not a number":             func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "many", http.StatusConflict) },
		"another log, or a newer one": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "4", http.StatusConflict) },
		"another one each time": func(w http.ResponseWriter, _ *http.Request) {
			sizes++
			http.Error(w, fmt.Sprint(sizes%3), http.StatusConflict)
		},
		"not a cosignature": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.Write(post(stranger.Handler(), body).Body.Bytes())
		},
		"malformed note":                  func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("yes\n")) },
		"its answer is not a cosignature": func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte("— a AAAAAAAA\n"), 1000)) },
		"EOF":                             func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		k.network.Witnesses, k.network.WitnessThreshold = nil, 1
		k.serve(1, h)
		c := newClient(t, ClientConfig{Network: k.network})
		signed, err := c.Cosign(t.Context(), checkpoint, k.prover(3))
		if !errors.Is(err, netmap.ErrWitness) || !strings.Contains(err.Error(), want) || !bytes.Equal(signed, checkpoint) {
			t.Errorf("%v, want %q in it", err, want)
		}
		k.watch(2, t.TempDir(), nil)
		c = newClient(t, ClientConfig{Network: k.network})
		if _, err := c.Cosign(t.Context(), checkpoint, k.prover(3)); err != nil {
			t.Errorf("besides a good witness: %v", err)
		}
	}
	if elsewhere.Load() {
		t.Error("a witness has sent the client elsewhere")
	}
}

// One that is silent is waited for, but not for long.
func TestSilentWitness(t *testing.T) {
	k := newKeeper(t, 1).grow(1, "leaf")
	k.network.WitnessThreshold = 1
	k.serve(1, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) //nolint:errcheck // only then the server sees that the client is gone
		<-r.Context().Done()
	})
	c := newClient(t, ClientConfig{Network: k.network, Wait: 10 * time.Millisecond})
	if _, err := c.Cosign(t.Context(), k.checkpoint(1), k.prover(1)); !errors.Is(err, netmap.ErrWitness) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody has answered: %v", err)
	}
	k.watch(2, t.TempDir(), nil)
	began := time.Now()
	c = newClient(t, ClientConfig{Network: k.network, Wait: 10 * time.Minute, Grace: time.Millisecond})
	if _, err := c.Cosign(t.Context(), k.checkpoint(1), k.prover(1)); err != nil || time.Since(began) > 5*time.Minute {
		t.Errorf("one of two has answered: %v after %v", err, time.Since(began))
	}
	k.network.WitnessThreshold = 0
	k.network.Witnesses = k.network.Witnesses[:1]
	c = newClient(t, ClientConfig{Network: k.network, Wait: 10 * time.Minute, Grace: time.Millisecond})
	if _, err := c.Cosign(t.Context(), k.checkpoint(1), k.prover(1)); err != nil || time.Since(began) > 5*time.Minute {
		t.Errorf("nobody has to: %v after %v", err, time.Since(began))
	}
}

// What the authorities have not signed is shown to nobody.
func TestUnsigned(t *testing.T) {
	k := newKeeper(t, 2).grow(1, "leaf")
	k.serve(1, func(http.ResponseWriter, *http.Request) { t.Error("a witness was asked") })
	c := newClient(t, ClientConfig{Network: k.network})
	if _, err := c.Cosign(t.Context(), k.checkpoint(1, k.signers[0]), k.prover(1)); !errors.Is(err, netmap.ErrSignature) {
		t.Error(err)
	}
}

// A log that cannot prove what it says asks nothing.
func TestNoProof(t *testing.T) {
	k := newKeeper(t, 1).grow(1, "leaf")
	k.network.WitnessThreshold = 1
	k.serve(1, func(http.ResponseWriter, *http.Request) { t.Error("a witness was asked") })
	lost := errors.New("lost")
	c := newClient(t, ClientConfig{Network: k.network})
	_, err := c.Cosign(t.Context(), k.checkpoint(1), func(context.Context, int64) ([]tlog.Hash, error) { return nil, lost })
	if !errors.Is(err, lost) {
		t.Error(err)
	}
}
