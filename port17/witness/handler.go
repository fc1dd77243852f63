package witness

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// Handler serves the witness, as c2sp.org/tlog-witness says:
//
//	POST /add-checkpoint  200 with a line that cosigns it; 409 with the size of the
//	                      tree that is remembered; 400, 403, 404, 413, 422, 429
//	GET  /known?origin=O  200 with the newest checkpoint of the log that was
//	                      cosigned, as its authorities have signed it; 404, 429
//	GET  /health          200
func (w *Witness) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", w.serveAdd)
	mux.HandleFunc("GET /known", w.serveKnown)
	mux.HandleFunc("GET /health", func(out http.ResponseWriter, _ *http.Request) { fmt.Fprintln(out, "ok") })
	return mux
}

// admits limits how often a source asks, and tells it.
func (w *Witness) admits(out http.ResponseWriter, in *http.Request) bool {
	if w.sources.allow(in.RemoteAddr) {
		return true
	}
	out.Header().Set("Retry-After", "1")
	http.Error(out, "too many requests", http.StatusTooManyRequests)
	return false
}

func (w *Witness) serveKnown(out http.ResponseWriter, in *http.Request) {
	if !w.admits(out, in) {
		return
	}
	k, err := w.store.known(in.Context(), in.URL.Query().Get("origin"))
	switch {
	case err != nil:
		w.log.Error("show a checkpoint", "error", err)
		http.Error(out, "the witness cannot read what it knows", http.StatusInternalServerError)
	case k.checkpoint == nil:
		http.Error(out, "the witness knows no checkpoint of the log", http.StatusNotFound)
	default:
		out.Header().Set("Content-Type", "text/plain; charset=utf-8")
		out.Write(k.checkpoint)
	}
}

func (w *Witness) serveAdd(out http.ResponseWriter, in *http.Request) {
	if !w.admits(out, in) {
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(out, in.Body, maxRequest))
	if err != nil {
		var tooLong *http.MaxBytesError
		if errors.As(err, &tooLong) {
			http.Error(out, fmt.Sprintf("request is longer than %d bytes", tooLong.Limit), http.StatusRequestEntityTooLarge)
		}
		return
	}
	r, err := parseRequest(body)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	line, err := w.cosign(in.Context(), r)
	var conflict *conflictError
	switch {
	case err == nil:
		out.Header().Set("Content-Type", "text/plain; charset=utf-8")
		out.Write(line)
	case errors.As(err, &conflict):
		out.Header().Set("Content-Type", "text/x.tlog.size")
		out.WriteHeader(http.StatusConflict)
		io.WriteString(out, strconv.FormatInt(conflict.size, 10)+"\n")
	case errors.Is(err, errRequest):
		http.Error(out, err.Error(), http.StatusBadRequest)
	case errors.Is(err, errNotSigned):
		http.Error(out, err.Error(), http.StatusForbidden)
	case errors.Is(err, errUnknownLog):
		http.Error(out, err.Error(), http.StatusNotFound)
	case errors.Is(err, errProof):
		http.Error(out, err.Error(), http.StatusUnprocessableEntity)
	default:
		if in.Context().Err() == nil {
			w.log.Error("cosign a checkpoint", "error", err)
		}
		http.Error(out, "the witness cannot remember the checkpoint", http.StatusInternalServerError)
	}
}
