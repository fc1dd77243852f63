package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"safing/netmap"
)

func TestRequest(t *testing.T) {
	k := newKeeper(t, 2).grow(5, "leaf")
	w := newWitness(t, k.network, 1, t.TempDir(), nil)
	h := w.Handler()
	if a := post(h, k.request(0, 5).encode()); a.Code != http.StatusOK {
		t.Fatalf("status %d: %s", a.Code, a.Body)
	}
	k.grow(9, "leaf")
	fork := k.fork().grow(11, "other")
	k.grow(11, "leaf")
	proof := func(r request, f func(*request)) []byte { f(&r); return r.encode() }
	good := k.request(5, 9)
	huge, err := note.Sign(&note.Note{Text: netmap.MakeCheckpoint(network, 1<<62+1, tlog.Hash{})}, k.signers...)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		body []byte
		want int
		text string
	}{
		"unknown log":   {bytes.Replace(good.encode(), []byte(network), []byte("other.example"), 1), http.StatusNotFound, "does not watch"},
		"one authority": {proof(good, func(r *request) { r.checkpoint = k.checkpoint(9, k.signers[0]) }), http.StatusForbidden, "which are 2"},
		"the same twice": {proof(good, func(r *request) {
			r.checkpoint = append(k.checkpoint(9, k.signers[0]), lastLine(k.checkpoint(9, k.signers[0]))...)
		}), http.StatusForbidden, "which are 2"},
		"forged":          {bytes.Replace(good.encode(), []byte("\n9\n"), []byte("\n8\n"), 1), http.StatusForbidden, "not signed"},
		"old above size":  {proof(good, func(r *request) { r.old = 10 }), http.StatusBadRequest, "larger"},
		"rolled back":     {k.request(5, 3).encode(), http.StatusBadRequest, "larger"},
		"behind":          {k.request(3, 4).encode(), http.StatusConflict, "5\n"},
		"unknown":         {k.request(0, 9).encode(), http.StatusConflict, "5\n"},
		"too far":         {k.request(7, 9).encode(), http.StatusConflict, "5\n"},
		"fork, same size": {newKeeperLike(k).grow(5, "other").request(5, 5).encode(), http.StatusConflict, "5\n"},
		"fork, larger":    {newKeeperLike(k).grow(9, "other").request(5, 9).encode(), http.StatusUnprocessableEntity, "not proven"},
		"no proof":        {proof(good, func(r *request) { r.proof = nil }), http.StatusUnprocessableEntity, "not proven"},
		"another's proof": {proof(good, func(r *request) { r.proof = k.request(5, 11).proof }), http.StatusUnprocessableEntity, "not proven"},
		"longer proof":    {proof(good, func(r *request) { r.proof = append(r.proof, r.proof[0]) }), http.StatusUnprocessableEntity, "not proven"},
		"huge":            {proof(good, func(r *request) { r.checkpoint = huge }), http.StatusBadRequest, "not a number"},
		"empty":           {nil, http.StatusBadRequest, "does not begin with"},
		"garbage":         {[]byte("\x00\xff"), http.StatusBadRequest, "does not begin with"},
		"no note":         {[]byte("old 5\n\n" + network + "\n"), http.StatusBadRequest, "malformed note"},
		"too long":        {make([]byte, maxRequest+1), http.StatusRequestEntityTooLarge, "longer than"},
	} {
		w.sources = newSources()
		a := post(h, c.body)
		if a.Code != c.want || !strings.Contains(a.Body.String(), c.text) {
			t.Errorf("%s: status %d, %q; want %d, %q", name, a.Code, a.Body, c.want, c.text)
		}
		if a.Code == http.StatusConflict && a.Header().Get("Content-Type") != "text/x.tlog.size" {
			t.Errorf("%s: content type %q", name, a.Header().Get("Content-Type"))
		}
	}
	if a := post(h, k.request(5, 9).encode()); a.Code != http.StatusOK {
		t.Errorf("after all of it: status %d: %s", a.Code, a.Body)
	}
	if a := post(h, good.encode()); a.Code != http.StatusConflict || a.Body.String() != "9\n" {
		t.Errorf("a proof that was used before: status %d, %q", a.Code, a.Body)
	}
	if a := post(h, fork.request(9, 11).encode()); a.Code != http.StatusOK {
		t.Errorf("what follows from what is known: status %d, %q", a.Code, a.Body)
	}
	if a := post(h, k.request(9, 11).encode()); a.Code != http.StatusConflict {
		t.Errorf("the other thing that follows: status %d, %q", a.Code, a.Body)
	}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/add-checkpoint", nil))
	if answer.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d", answer.Code)
	}
}

// newKeeperLike returns a keeper of an empty log with the same keys.
func newKeeperLike(k *keeper) *keeper {
	return &keeper{t: k.t, network: k.network, signers: k.signers}
}

// lastLine returns the last signature of a note.
func lastLine(signed []byte) []byte {
	lines := bytes.SplitAfter(bytes.TrimSuffix(signed, []byte("\n")), []byte("\n"))
	return append(bytes.Clone(lines[len(lines)-1]), '\n')
}

// What comes back cosigns the checkpoint, and is on disk.
func TestRestart(t *testing.T) {
	k, state := newKeeper(t, 1), t.TempDir()
	k.addWitness(1, "http://127.0.0.1:2")
	verifier, err := netmap.NewCosignatureVerifier(k.network.Witnesses[0].Key)
	if err != nil {
		t.Fatal(err)
	}
	for size := int64(1); size < 8; size++ {
		k.grow(size, "leaf")
		w, err := New(t.Context(), Config{Name: witnessName(1), Key: witnessKey(1), Networks: []*netmap.Network{k.network}, State: state})
		if err != nil {
			t.Fatal(err)
		}
		line, err := w.cosign(t.Context(), k.request(size-1, size))
		if err != nil {
			t.Fatal(err)
		}
		cosigned := append(k.checkpoint(size), line...)
		if n, err := note.Open(cosigned, note.VerifierList(verifier)); err != nil || len(n.Sigs) != 1 {
			t.Errorf("%q: %v", cosigned, err)
		}
		if _, err := w.cosign(t.Context(), k.request(size, size)); err != nil {
			t.Errorf("the same again: %v", err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// When the disk does not take it, nobody gets a cosignature.
func TestDiskFails(t *testing.T) {
	k := newKeeper(t, 1).grow(1, "leaf")
	w := newWitness(t, k.network, 1, t.TempDir(), nil)
	if _, err := w.store.db.Exec("CREATE TRIGGER full BEFORE INSERT ON logs BEGIN SELECT raise(ABORT, 'disk is full'); END"); err != nil {
		t.Fatal(err)
	}
	if a := post(w.Handler(), k.request(0, 1).encode()); a.Code != http.StatusInternalServerError || strings.Contains(a.Body.String(), "full") {
		t.Errorf("status %d, %q", a.Code, a.Body)
	}
}

// Authorities that sign two logs are found out, and what they have signed is kept.
func TestEvidence(t *testing.T) {
	var log bytes.Buffer
	k := newKeeper(t, 2).grow(3, "leaf")
	w := newWitness(t, k.network, 1, t.TempDir(), slog.New(slog.NewTextHandler(&log, nil)))
	if _, err := w.cosign(t.Context(), k.request(0, 3)); err != nil {
		t.Fatal(err)
	}
	for i := range maxEvidence + 4 {
		fork := newKeeperLike(k).grow(3, fmt.Sprint("other", i))
		for _, old := range []int64{0, 3, 3} {
			var conflict *conflictError
			if _, err := w.cosign(t.Context(), fork.request(old, 3)); !errors.As(err, &conflict) || conflict.size != 3 {
				t.Fatalf("fork from %d: %v", old, err)
			}
		}
	}
	var kept int
	var other, known []byte
	if err := w.store.db.QueryRow("SELECT count(*), checkpoint, known FROM evidence").Scan(&kept, &other, &known); err != nil || kept != maxEvidence {
		t.Errorf("%d are kept, %v; want %d", kept, err, maxEvidence)
	}
	for _, signed := range [][]byte{other, known} {
		if c, err := k.network.OpenCheckpoint(signed); err != nil || c.Size != 3 {
			t.Errorf("evidence %q: %v", signed, err)
		}
	}
	if bytes.Equal(other, known) || !strings.Contains(log.String(), "level=ERROR msg=\"the authorities have signed two logs of one network\" network=test.example size=3") {
		t.Errorf("log: %s", log.String())
	}
	if a := post(w.Handler(), k.request(3, 3).encode()); a.Code != http.StatusOK {
		t.Errorf("the log that is known: status %d", a.Code)
	}
}

// Whatever is asked, in whatever order: all that is cosigned is one log, which
// only grows.
func TestOneLog(t *testing.T) {
	const most = 12
	truth := newKeeper(t, 1).grow(5, "leaf")
	logs := []*keeper{truth, truth.fork().grow(most, "other"), newKeeperLike(truth).grow(most, "new")}
	truth.grow(most, "leaf")
	rapid.Check(t, func(rt *rapid.T) {
		w, err := New(t.Context(), Config{Name: witnessName(1), Key: witnessKey(1), Networks: []*netmap.Network{truth.network}, State: t.TempDir()})
		if err != nil {
			rt.Fatal(err)
		}
		defer w.Close()
		var last int64
		possible := map[*keeper]bool{logs[0]: true, logs[1]: true, logs[2]: true}
		for range rapid.IntRange(1, 12).Draw(rt, "requests") {
			of := logs[rapid.IntRange(0, len(logs)-1).Draw(rt, "log")]
			old := last // what others have learnt
			if rapid.Bool().Draw(rt, "guess") {
				old = rapid.Int64Range(0, most).Draw(rt, "old")
			}
			size := rapid.Int64Range(0, most).Draw(rt, "size")
			r := of.request(old, size)
			if other := logs[rapid.IntRange(0, len(logs)-1).Draw(rt, "proof of")]; old <= size {
				r.proof = other.request(old, size).proof
			}
			if _, err := w.cosign(t.Context(), r); err != nil {
				continue
			}
			if size < last {
				rt.Fatalf("a tree of %d leaves is cosigned after one of %d", size, last)
			}
			last = size
			for k := range possible {
				if !bytes.Equal(firstLines(k.checkpoint(size)), firstLines(r.checkpoint)) {
					delete(possible, k)
				}
			}
			if len(possible) == 0 {
				rt.Fatal("what is cosigned is no one log")
			}
		}
	})
}

func firstLines(signed []byte) []byte {
	text, _, _ := bytes.Cut(signed, []byte("\n\n"))
	return text
}

// Of requests at once, those that are granted follow one another.
func TestAtOnce(t *testing.T) {
	const most = 8
	k := newKeeper(t, 1).grow(most, "leaf")
	w := newWitness(t, k.network, 1, t.TempDir(), nil)
	var requests []request
	for old := range int64(most) {
		for size := old + 1; size <= most; size++ {
			requests = append(requests, k.request(old, size))
		}
	}
	var mu sync.Mutex
	next := make(map[int64]int64)
	var all sync.WaitGroup
	for _, r := range requests {
		all.Go(func() {
			var conflict *conflictError
			_, err := w.cosign(context.WithoutCancel(t.Context()), r)
			if err != nil && !errors.As(err, &conflict) {
				t.Error(err)
			}
			if err == nil {
				c, err := k.network.OpenCheckpoint(r.checkpoint)
				mu.Lock()
				defer mu.Unlock()
				if was, twice := next[r.old]; err != nil || twice {
					t.Errorf("after %d both %d and %d are cosigned, %v", r.old, was, c.Size, err)
				}
				next[r.old] = c.Size
			}
		})
	}
	all.Wait()
	at := int64(0)
	for range len(next) {
		at = next[at]
	}
	if len(next) == 0 || next[at] != 0 || at == 0 {
		t.Errorf("those that were granted are no chain: %v", next)
	}
}

func TestRate(t *testing.T) {
	s := newSources()
	for range burst {
		if !s.allow("192.0.2.1:1") {
			t.Fatal("one of the first was refused")
		}
	}
	if s.allow("192.0.2.99:7") {
		t.Error("a neighbour has a burst of its own")
	}
	if !s.allow("[2001:db8::1]:1") || !s.allow("198.51.100.1:1") || !s.allow("") {
		t.Error("others are refused")
	}
	for i := range 2 * maxSources {
		s.allow(fmt.Sprintf("10.%d.%d.1:1", i/256, i%256))
	}
	if len(s.limit) > maxSources {
		t.Errorf("%d are remembered", len(s.limit))
	}
	k := newKeeper(t, 1).grow(1, "leaf")
	w := newWitness(t, k.network, 1, t.TempDir(), nil)
	h := w.Handler()
	for range burst {
		post(h, nil)
	}
	if a := post(h, k.request(0, 1).encode()); a.Code != http.StatusTooManyRequests || a.Header().Get("Retry-After") == "" {
		t.Errorf("after %d requests: status %d", burst, a.Code)
	}
}

func TestConfig(t *testing.T) {
	k := newKeeper(t, 1)
	for want, c := range map[string]Config{
		"two networks":      {Name: "w", Key: witnessKey(1), Networks: []*netmap.Network{k.network, k.network}},
		"name \"a b\" of a": {Name: "a b", Key: witnessKey(1)},
		"0 bytes":           {Name: "w"},
	} {
		c.State = t.TempDir()
		if _, err := New(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q in it", err, want)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	k := newKeeper(f, 1).grow(9, "leaf")
	f.Add(k.request(5, 9).encode())
	f.Add(k.request(0, 9).encode())
	f.Add([]byte("old 0\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil {
			if !errors.Is(err, errRequest) {
				t.Error(err)
			}
			return
		}
		if !bytes.Equal(r.encode(), b) {
			t.Errorf("%q is the same request as %q", b, r.encode())
		}
	})
}
