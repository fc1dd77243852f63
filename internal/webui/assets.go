package webui

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed assets
var files embed.FS // read-only

// Assets serves the shared files below /assets/. Each has a tag of its
// content, by which a browser asks whether its copy still holds; with the tag
// in the query (?v=…, see [Asset]) the copy holds for a year.
func Assets() http.Handler {
	tags := make(map[string]string) // path below /assets/ → tag
	err := fs.WalkDir(files, "assets", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := files.ReadFile(p)
		tags[strings.TrimPrefix(p, "assets/")] = tag(data)
		return err
	})
	if err != nil {
		panic("embedded assets: " + err.Error()) // they are part of the program
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/assets/")
		version, ok := tags[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("ETag", `"`+version+`"`)
		if r.URL.Query().Get("v") == version {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		} else {
			h.Set("Cache-Control", "public, no-cache")
		}
		http.ServeFileFS(w, r, files, "assets/"+name)
	})
}

// Asset returns the address of a shared file with the tag of its content, for
// pages that are made by a program: "tokens.css" → "/assets/tokens.css?v=…".
// A file that is not there keeps its plain address.
func Asset(name string) string {
	address := "/assets/" + name
	data, err := files.ReadFile("assets/" + name)
	if err != nil {
		return address
	}
	return address + "?v=" + tag(data)
}

func tag(data []byte) string {
	sum := sha256.Sum256(data)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
