package ui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"safing/internal/webui"
)

//go:embed index.html icon.svg dist
var files embed.FS // read-only

// Handler serves the page at /, its files below /ui/ and the shared look below
// /assets/.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", webui.Assets())
	mux.Handle("GET /{$}", file("index.html"))
	mux.Handle("GET /ui/icon.svg", file("icon.svg"))
	mux.Handle("GET /ui/app.js", file("dist/app.js"))
	mux.Handle("GET /ui/app.css", file("dist/app.css"))
	return webui.Secure(mux)
}

// file serves one embedded file. A browser asks each time whether its copy
// still holds, so that page and daemon are never of two versions.
func file(name string) http.Handler {
	data, err := fs.ReadFile(files, name)
	if err != nil {
		panic("embedded page: " + err.Error()) // it is part of the program
	}
	sum := sha256.Sum256(data)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	base := name[strings.LastIndexByte(name, '/')+1:]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeContent(w, r, base, time.Time{}, bytes.NewReader(data))
	})
}
