package tlog

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// get asks the handler, and returns status, headers and body.
func get(h http.Handler, path string) (int, http.Header, []byte) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Header(), w.Body.Bytes()
}

// tiles reads a log as one who has nothing but its tiles.
type tiles struct {
	t *testing.T
	h http.Handler
}

func (tiles) Height() int { return height }

func (r tiles) ReadTiles(all []tlog.Tile) (data [][]byte, err error) {
	for _, tile := range all {
		path := strings.Replace(tile.Path(), "tile/8/", "/tile/", 1)
		code, header, body := get(r.h, path)
		if code != http.StatusOK || !strings.Contains(header.Get("Cache-Control"), "immutable") {
			r.t.Errorf("%s: status %d, cached as %q", path, code, header.Get("Cache-Control"))
		}
		data = append(data, body)
	}
	return data, nil
}

func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func TestTiles(t *testing.T) {
	db := openLog(t)
	leaves := numbered(624)
	add(t, db, leaves...)
	h := Handler(db, nil, nil)
	ctx := t.Context()
	for _, size := range []int64{1, 255, 256, 257, 512, 624} {
		tree, err := AtSize(ctx, db, size)
		if err != nil {
			t.Fatal(err)
		}
		root, err := tree.Root(ctx)
		if err != nil {
			t.Fatal(err)
		}
		reader := tlog.TileHashReader(tlog.Tree{N: size, Hash: root}, tiles{t, h})
		for _, n := range []int64{0, size / 2, size - 1} {
			p, err := tlog.ProveRecord(size, n, reader)
			if err != nil {
				t.Fatalf("leaf %d of %d: %v", n, size, err)
			}
			if err := tlog.CheckRecord(p, size, root, n, tlog.RecordHash(leaves[n])); err != nil {
				t.Errorf("leaf %d of %d: %v", n, size, err)
			}
		}
	}
	code, _, bundle := get(h, "/tile/entries/002.p/112")
	if code != http.StatusOK {
		t.Fatalf("last bundle: status %d", code)
	}
	for _, want := range leaves[2*256:] {
		n := int(binary.BigEndian.Uint16(bundle))
		if got := bundle[2 : 2+n]; !bytes.Equal(got, want) {
			t.Fatalf("entry %q, want %q", got, want)
		}
		bundle = bundle[2+n:]
	}
	if len(bundle) != 0 {
		t.Errorf("%d bytes lie behind the last entry", len(bundle))
	}
}

func TestNoSuchTile(t *testing.T) {
	db := openLog(t)
	add(t, db, numbered(300)...)
	h := Handler(db, nil, nil)
	for path, want := range map[string]int{
		"/tile/0/000":          http.StatusOK,
		"/tile/0/001.p/44":     http.StatusOK,
		"/tile/0/000.p/1":      http.StatusOK,
		"/tile/1/000.p/1":      http.StatusOK,
		"/tile/entries/000":    http.StatusOK,
		"/tile/0/001":          http.StatusNotFound,
		"/tile/0/001.p/45":     http.StatusNotFound,
		"/tile/0/001.p/0":      http.StatusNotFound,
		"/tile/0/001.p/044":    http.StatusNotFound,
		"/tile/0/001.p/256":    http.StatusNotFound,
		"/tile/0/002.p/1":      http.StatusNotFound,
		"/tile/1/000.p/2":      http.StatusNotFound,
		"/tile/2/000.p/1":      http.StatusNotFound,
		"/tile/8/000.p/1":      http.StatusNotFound,
		"/tile/63/000.p/1":     http.StatusNotFound,
		"/tile/99999/000.p/1":  http.StatusNotFound,
		"/tile/-1/000":         http.StatusNotFound,
		"/tile/00/000":         http.StatusNotFound,
		"/tile/0/0":            http.StatusNotFound,
		"/tile/0/x000/000":     http.StatusNotFound,
		"/tile/0/":             http.StatusNotFound,
		"/tile/":               http.StatusNotFound,
		"/tile/data/000":       http.StatusNotFound,
		"/tile/entries/data/0": http.StatusNotFound,
		"/tile/0/x999/x999/x999/x999/x999/x999/x999/x999/999": http.StatusNotFound,
	} {
		if code, _, body := get(h, path); code != want {
			t.Errorf("%s: status %d, want %d: %.40q", path, code, want, body)
		}
	}
}

func FuzzTile(f *testing.F) {
	db := openLog(f)
	add(f, db, numbered(300)...)
	h := handler{reader: db}
	for _, path := range []string{"0/000", "0/001.p/44", "1/000.p/1", "entries/001.p/3", "0/x001/x234/067", "data/000"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		data, err := h.tile(t.Context(), path)
		if err != nil && !errors.Is(err, errNoTile) {
			t.Errorf("%q: %v", path, err)
		}
		if err == nil && len(data) == 0 {
			t.Errorf("%q is empty", path)
		}
	})
}

func TestCheckpoint(t *testing.T) {
	db := openLog(t)
	var text []byte
	var failure error
	h := Handler(db, func(context.Context) ([]byte, error) { return text, failure }, nil)
	if code, _, _ := get(h, "/checkpoint"); code != http.StatusNotFound {
		t.Errorf("before the first: status %d", code)
	}
	text = []byte("checkpoint")
	code, header, body := get(h, "/checkpoint")
	if code != http.StatusOK || string(body) != "checkpoint" || header.Get("Content-Type") != "text/plain; charset=utf-8" || header.Get("Cache-Control") != "no-cache" {
		t.Errorf("status %d, headers %v, body %q", code, header, body)
	}
	failure = errors.New("secret")
	if code, _, body := get(h, "/checkpoint"); code != http.StatusInternalServerError || bytes.Contains(body, []byte("secret")) {
		t.Errorf("after a failure: status %d, body %q", code, body)
	}
}

// Tessera's own program finds no fault with what we serve.
func TestTessera(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	program, err := exec.CommandContext(t.Context(), "go", "tool", "-modfile=../../tools/go.mod", "-n", "fsck").Output()
	if err != nil {
		t.Skipf("fsck of Tessera cannot be built, perhaps as its modules are not here: %v", err)
	}
	secret, public, err := note.GenerateKey(nil, "test.example")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(public), 0o600); err != nil {
		t.Fatal(err)
	}
	db := openLog(t)
	check := func(t *testing.T, spoil string) string {
		t.Helper()
		tree, err := At(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		root, err := tree.Root(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(spoil); err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(Handler(db, func(context.Context) ([]byte, error) {
			text := fmt.Sprintf("test.example\n%d\n%s\n", tree.Size(), base64.StdEncoding.EncodeToString(root[:]))
			return note.Sign(&note.Note{Text: text}, signer)
		}, nil))
		defer server.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		// A worker that finds a fault ends: with one for each tile, the others are checked.
		out, err := exec.CommandContext(ctx, strings.TrimSpace(string(program)), "-ui=false", "-N=8", "-storage_url", server.URL, "-public_key", key).CombinedOutput()
		if err != nil {
			t.Fatalf("fsck: %v\n%s", err, out)
		}
		return string(out)
	}
	const success = "Successfully fsck'd log"
	for _, n := range []int{1, 255, 1, 300} { // ends at 557
		have, err := Size(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		add(t, db, numbered(int(have) + n)[have:]...)
		if out := check(t, ""); !strings.Contains(out, success) {
			t.Errorf("of %d leaves:\n%s", int(have)+n, out)
		}
	}
	if out := check(t, "UPDATE log_leaves SET leaf = x'00' WHERE number = 3"); strings.Contains(out, success) {
		t.Errorf("with a leaf that is not the one it was:\n%s", out)
	}
}
