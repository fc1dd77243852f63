package authority

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"safing/internal/tlog"
	"safing/netmap"
)

// maxWait is how long the answer to GET /v1/map may be held back.
const maxWait = time.Minute

// Handler serves the authority:
//
//	POST /v1/descriptors             a signed descriptor; 204, or 422 with the reason
//	POST /v1/keys                    signed keys; the same
//	GET  /v1/map?after=SEQ&wait=SEC  the signed map; 304 if there is none after SEQ
//	GET  /v1/health                  200
//	GET  /log/…                      the log of maps (c2sp.org/tlog-tiles)
func (a *Authority) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/descriptors", serveAdd("descriptor is", netmap.MaxDescriptor, a.Add))
	mux.HandleFunc("POST /v1/keys", serveAdd("keys are", netmap.MaxKeys, a.AddKeys))
	mux.HandleFunc("GET /v1/map", a.serveMap)
	mux.HandleFunc("GET /v1/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("GET /log/", http.StripPrefix("/log", tlog.Handler(a.store.db, a.checkpoint, a.config.Log)))
	return mux
}

// checkpoint returns that of the newest map.
func (a *Authority) checkpoint(ctx context.Context) ([]byte, error) {
	head, _, err := netmap.SplitMap(a.wait(ctx, 0).bytes)
	if err != nil {
		return nil, err
	}
	h, err := netmap.ParseHead(head)
	return h.Checkpoint, err
}

// serveAdd takes what nodes publish.
func serveAdd(what string, most int64, add func(context.Context, []byte) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		signed, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
		if err != nil {
			var tooLong *http.MaxBytesError
			if errors.As(err, &tooLong) {
				http.Error(w, fmt.Sprintf("%s longer than %d bytes", what, tooLong.Limit), http.StatusRequestEntityTooLarge)
			}
			return
		}
		if err := add(r.Context(), signed); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func (a *Authority) serveMap(w http.ResponseWriter, r *http.Request) {
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
	wait := min(time.Duration(min(seconds, 3600))*time.Second, maxWait)
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	current := a.wait(ctx, after)
	w.Header().Set("ETag", strconv.Quote(strconv.FormatUint(current.sequence, 10)))
	w.Header().Set("Cache-Control", "no-cache")
	if current.sequence <= after {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(current.bytes)))
	w.Write(current.bytes)
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
