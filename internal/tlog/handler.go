package tlog

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// height of the tiles, as c2sp.org/tlog-tiles fixes it: 256 hashes in each.
const height = 8

// errNoTile means that a path names no tile that the log has.
var errNoTile = errors.New("the log has no such tile")

// Handler serves the log as c2sp.org/tlog-tiles. The paths of requests begin
// with the slash after the log's prefix:
//
//	GET /checkpoint                  what the function returns; 404 if that is nothing
//	GET /tile/<level>/<N>[.p/<W>]    hashes
//	GET /tile/entries/<N>[.p/<W>]    leaves
//
// A nil log discards.
func Handler(r Reader, checkpoint func(context.Context) ([]byte, error), log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := handler{r, checkpoint, log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /checkpoint", h.serveCheckpoint)
	mux.HandleFunc("GET /tile/", h.serveTile)
	return mux
}

type handler struct {
	reader     Reader
	checkpoint func(context.Context) ([]byte, error)
	log        *slog.Logger
}

func (h handler) serveCheckpoint(w http.ResponseWriter, r *http.Request) {
	text, err := h.checkpoint(r.Context())
	switch {
	case err != nil:
		h.fail(w, r, err)
	case len(text) == 0:
		http.Error(w, "the log has no checkpoint yet", http.StatusNotFound)
	default:
		answer(w, "text/plain; charset=utf-8", "no-cache", text)
	}
}

func (h handler) serveTile(w http.ResponseWriter, r *http.Request) {
	data, err := h.tile(r.Context(), strings.TrimPrefix(r.URL.Path, "/tile/"))
	switch {
	case errors.Is(err, errNoTile):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		h.fail(w, r, err)
	default:
		answer(w, "application/octet-stream", "public, max-age=31536000, immutable", data)
	}
}

func answer(w http.ResponseWriter, kind, caching string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", caching)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

func (h handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		h.log.Error("serve the log", "path", r.URL.Path, "error", err)
	}
	http.Error(w, "the log cannot be read", http.StatusInternalServerError)
}

// tile returns the content of the tile at the path, which has no prefix.
func (h handler) tile(ctx context.Context, path string) ([]byte, error) {
	rest, entries := strings.CutPrefix(path, "entries/")
	switch {
	case entries:
		path = "data/" + rest // as golang.org/x/mod calls them
	case strings.HasPrefix(path, "data/"):
		return nil, errNoTile
	}
	tile, err := tlog.ParseTilePath("tile/" + strconv.Itoa(height) + "/" + path)
	if err != nil {
		return nil, errNoTile
	}
	t, err := At(ctx, h.reader)
	if err != nil {
		return nil, err
	}
	level := max(tile.L, 0) // leaves are as many as their hashes
	if has := t.size >> (height * min(level, 7)); level > 7 || tile.N > has/(1<<height) || tile.N<<height+int64(tile.W) > has {
		return nil, errNoTile
	}
	if !entries {
		return tlog.ReadTileData(tile, t.hashes(ctx))
	}
	leaves, err := Leaves(ctx, h.reader, tile.N<<height, tile.W)
	if err != nil {
		return nil, err
	}
	var bundle []byte
	for _, leaf := range leaves {
		bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(leaf)))
		bundle = append(bundle, leaf...)
	}
	return bundle, nil
}
