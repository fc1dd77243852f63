package directory

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// maxWait is how long the answer to GET /v1/map may be held back.
const maxWait = time.Minute

// ServeHTTP serves the mirror (docs/spec/netmap.md#mirrors):
//
//	GET /v1/map?after=SEQ&wait=SEC&from=SEQ  the newest signed map; 304 if it is not after SEQ
//	GET /v1/maps/SEQ                         an older signed map; 404 if it is not kept any more
//	GET /v1/keys/HASH                        a shard of keys by its SHA-256 in hexadecimal digits
//	GET /v1/health                           200
func (m *Mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }

func (m *Mirror) serveMap(w http.ResponseWriter, r *http.Request) {
	after, err := number(r, "after")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	seconds, err := number(r, "wait")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	newest := m.await(r.Context(), after, min(time.Duration(min(seconds, 3600))*time.Second, maxWait))
	w.Header().Set("Cache-Control", "no-cache")
	if newest == nil {
		http.Error(w, "there is no map yet", http.StatusNotFound)
		return
	}
	tag := strconv.Quote(strconv.FormatUint(newest.sequence, 10))
	w.Header().Set("ETag", tag)
	if newest.sequence <= after || r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if !r.URL.Query().Has("from") {
		write(w, newest.signed)
		return
	}
	from, err := number(r, "from")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b, base, err := m.compressed(r.Context(), newest, from)
	if err != nil { // it is too large, or who asks has gone
		write(w, newest.signed)
		return
	}
	w.Header().Set(deltaHeader, strconv.FormatUint(base, 10))
	write(w, b)
}

func (m *Mirror) serveOld(w http.ResponseWriter, r *http.Request) {
	sequence, err := strconv.ParseUint(r.PathValue("sequence"), 10, 63)
	if err != nil {
		http.Error(w, "maps are numbered", http.StatusBadRequest)
		return
	}
	old := m.find(sequence)
	if old == nil {
		http.Error(w, "there is no map of that number here, or not any more", http.StatusNotFound)
		return
	}
	write(w, old.signed)
}

func (m *Mirror) serveKeys(w http.ResponseWriter, r *http.Request) {
	hash, err := hex.DecodeString(r.PathValue("hash"))
	if err != nil || len(hash) != sha256.Size {
		http.Error(w, "keys are named by 64 hexadecimal digits", http.StatusBadRequest)
		return
	}
	shard := m.pull(r.Context(), [sha256.Size]byte(hash))
	if shard == nil {
		http.Error(w, "there are no such keys here", http.StatusNotFound)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	write(w, shard)
}

func write(w http.ResponseWriter, b []byte) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.Write(b)
}

func number(r *http.Request, name string) (uint64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s=%s is not a number", name, text)
	}
	return n, nil
}
