package site

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"safing/internal/webui"
	"safing/stamp/labels"
)

//go:embed pages assets
var files embed.FS // read-only

// Store is what the site shows. [labels.Store] is one.
type Store interface {
	Find(context.Context, labels.Query) (*labels.Page, error)
	Labels(context.Context) ([]labels.Count, error)
	Changed(ctx context.Context, label string) (time.Time, error)
	Feed(ctx context.Context, label string) (*labels.Feed, error)
}

// Config says what a site shows.
type Config struct {
	Store Store        // required
	Log   *slog.Logger // failures of the store; nil discards them
}

type site struct {
	store Store
	log   *slog.Logger
	pages *template.Template
	feeds feeds
}

// New returns the site.
func New(c Config) http.Handler {
	s := &site{store: c.Store, log: c.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.pages = template.Must(template.New("").Funcs(template.FuncMap{
		"asset":   webui.Asset,
		"unicode": labels.Unicode,
		"number":  number,
	}).ParseFS(files, "pages/*.html"))
	own, err := fs.Sub(files, "assets")
	if err != nil {
		panic("embedded assets: " + err.Error()) // they are part of the program
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.domains)
	mux.HandleFunc("GET /feeds/{$}", s.about)
	mux.HandleFunc("GET /feeds/{file}", s.feed)
	mux.Handle("GET /assets/", webui.Assets())
	mux.Handle("GET /static/", http.StripPrefix("/static/", static(own)))
	mux.HandleFunc("GET /", s.missing)
	return webui.Secure(mux)
}

// static serves the site's own few files; folders are not listed.
func static(files fs.FS) http.Handler {
	server := http.FileServerFS(files)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, err := fs.Stat(files, r.URL.Path); err != nil || info.IsDir() {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Cache-Control", "public, max-age=3600")
		server.ServeHTTP(w, r)
	})
}

// A failure is what the page "failure" shows.
type failure struct{ Title, Text string }

func (s *site) missing(w http.ResponseWriter, r *http.Request) {
	s.render(w, r, http.StatusNotFound, "failure", failure{"Nothing is here", "This address leads nowhere."})
}

// fail answers for an error of the store.
func (s *site) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, labels.ErrNoLabel):
		s.render(w, r, http.StatusNotFound, "failure", failure{"No such label", "Nobody has used this label here."})
	case r.Context().Err() != nil: // nobody waits for the answer
	default:
		s.log.ErrorContext(r.Context(), "cannot answer", "path", r.URL.Path, "error", err)
		s.render(w, r, http.StatusInternalServerError, "failure",
			failure{"Something broke", "The store cannot be read at the moment. Please try again in a while."})
	}
}

// render answers with a page that is complete, or not at all.
func (s *site) render(w http.ResponseWriter, r *http.Request, code int, page string, data any) {
	var b bytes.Buffer
	if err := s.pages.ExecuteTemplate(&b, page, data); err != nil {
		s.log.ErrorContext(r.Context(), "cannot render", "page", page, "error", err)
		http.Error(w, "This page cannot be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes()) // the client may have gone
}

// number groups the digits of a count by thin spaces.
func number(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}
