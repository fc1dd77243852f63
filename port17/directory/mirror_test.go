package directory

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// get asks a handler, and returns the status, the ETag and the body.
func get(t testing.TB, h http.Handler, path string, headers ...string) (int, string, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, w.Header().Get("ETag"), string(body)
}

func TestMirror(t *testing.T) {
	m := NewMirror(MirrorConfig{})
	if code, _, _ := get(t, m, "/v1/map"); code != http.StatusNotFound {
		t.Errorf("without a map: %d", code)
	}
	keys := []byte("keys")
	hash := sha256.Sum256(keys)
	m.AddKeys(keys)
	m.Add(7, []byte("seven"), [][32]byte{hash})
	m.Add(6, []byte("six"), nil)
	m.Add(7, []byte("other"), nil)
	for _, c := range []struct {
		path, header string
		code         int
		body         string
	}{
		{"/v1/map", "", 200, "seven"},
		{"/v1/map?after=6", "", 200, "seven"},
		{"/v1/map?after=7", "", 304, ""},
		{"/v1/map?after=8", "", 304, ""},
		{"/v1/map", `"7"`, 304, ""},
		{"/v1/map", `"6"`, 200, "seven"},
		{"/v1/map?after=x", "", 400, "after=x is not a number\n"},
		{"/v1/map?wait=-1", "", 400, "wait=-1 is not a number\n"},
		{"/v1/keys/" + hex.EncodeToString(hash[:]), "", 200, "keys"},
		{"/v1/keys/" + hex.EncodeToString(hash[:31]), "", 400, "keys are named by 64 hexadecimal digits\n"},
		{"/v1/keys/" + hex.EncodeToString(hash[:]) + "00", "", 400, "keys are named by 64 hexadecimal digits\n"},
		{"/v1/keys/" + hex.EncodeToString(make([]byte, 32)), "", 404, "there are no such keys here\n"},
		{"/v1/maps/7", "", 200, "seven"},
		{"/v1/maps/6", "", 404, "there is no map of that number here, or not any more\n"},
		{"/v1/maps/x", "", 400, "maps are numbered\n"},
		{"/v1/health", "", 200, "ok\n"},
	} {
		code, tag, body := get(t, m, c.path, "If-None-Match", c.header)
		if code != c.code || body != c.body {
			t.Errorf("%s: %d %q, want %d %q", c.path, code, body, c.code, c.body)
		}
		if (code == 200 || code == 304) && strings.HasPrefix(c.path, "/v1/map") && !strings.HasPrefix(c.path, "/v1/maps/") && tag != `"7"` {
			t.Errorf("%s: ETag %s", c.path, tag)
		}
	}
}

// A mirror forgets what it has no room for, and keys that no map of the two
// newest has.
func TestMirrorForgets(t *testing.T) {
	m := NewMirror(MirrorConfig{Bytes: 100})
	for i := range uint64(50) {
		keys := []byte(fmt.Sprint("keys of ", i))
		m.AddKeys(keys)
		m.Add(i+1, make([]byte, 30), [][32]byte{sha256.Sum256(keys)})
	}
	if len(m.maps) != 3 || m.maps[0].sequence != 48 || len(m.shards) != 2 {
		t.Errorf("%d maps from %d, %d shards", len(m.maps), m.maps[0].sequence, len(m.shards))
	}
	m.Add(51, make([]byte, 1000), nil)
	if newest, _ := m.newest(); len(m.maps) != 1 || newest.sequence != 51 {
		t.Errorf("%d maps, the newest %d", len(m.maps), newest.sequence)
	}
	for i := range uint64(50) {
		m.Add(52+i, nil, nil)
	}
	if len(m.maps) != mirrorMaps {
		t.Errorf("%d maps, want %d", len(m.maps), mirrorMaps)
	}
}

// Who waits gets the next map at once. When too many wait, the others are
// answered at once.
func TestMirrorWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMirror(MirrorConfig{Waiters: 1})
		m.Add(1, []byte("one"), nil)
		begun := time.Now()
		if code, _, _ := get(t, m, "/v1/map?after=1&wait=20"); code != 304 || time.Since(begun) != 20*time.Second {
			t.Errorf("%d after %v", code, time.Since(begun))
		}
		begun = time.Now()
		if code, _, _ := get(t, m, "/v1/map?after=1&wait=99999999999"); code != 304 || time.Since(begun) != maxWait {
			t.Errorf("%d after %v", code, time.Since(begun))
		}
		answered := make(chan string, 1)
		go func() {
			_, _, body := get(t, m, "/v1/map?after=1&wait=20")
			answered <- body
		}()
		synctest.Wait()
		begun = time.Now()
		if code, _, _ := get(t, m, "/v1/map?after=1&wait=20"); code != 304 || time.Since(begun) != 0 {
			t.Errorf("one too many: %d after %v", code, time.Since(begun))
		}
		m.Add(2, []byte("two"), nil)
		if body := <-answered; body != "two" || time.Since(begun) != 0 {
			t.Errorf("%q after %v", body, time.Since(begun))
		}
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if newest := m.await(ctx, 2, time.Minute); newest.sequence != 2 || time.Since(begun) != 0 || m.waiters != 0 {
			t.Errorf("map %d after %v, %d wait", newest.sequence, time.Since(begun), m.waiters)
		}
	})
}
