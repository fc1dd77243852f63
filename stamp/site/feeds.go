package site

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"safing/stamp/labels"
)

// feeds keeps rendered feeds, of which there are at most [labels.MaxLabels].
type feeds struct {
	mu       sync.Mutex
	rendered map[string]*rendered // by label
}

// rendered is a feed as it is sent.
type rendered struct {
	changed    time.Time
	tag        string // of the content
	plain      []byte
	compressed []byte // gzip
}

// feedsPage is what the page "feeds" shows.
type feedsPage struct {
	Nav    string
	Origin string // of this site, as the visitor sees it
	Feeds  []labels.Count
}

func (s *site) about(w http.ResponseWriter, r *http.Request) {
	counts, err := s.store.Labels(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	origin := "http://" + r.Host
	if r.TLS != nil {
		origin = "https://" + r.Host
	}
	s.render(w, r, http.StatusOK, "feeds", feedsPage{"feeds", origin, counts})
}

func (s *site) feed(w http.ResponseWriter, r *http.Request) {
	label, ok := strings.CutSuffix(r.PathValue("file"), ".hosts")
	if !ok {
		s.missing(w, r)
		return
	}
	f, err := s.feeds.get(r.Context(), s.store, label)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "public, no-cache") // kept, but asked about each time
	h.Set("Vary", "Accept-Encoding")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	content := f.plain
	h.Set("ETag", `"`+f.tag+`"`)
	if takesGzip(r.Header.Get("Accept-Encoding")) {
		content = f.compressed
		h.Set("ETag", `"`+f.tag+`-gzip"`)
		h.Set("Content-Encoding", "gzip")
	}
	http.ServeContent(w, r, "", f.changed, bytes.NewReader(content))
}

// get returns the label's feed as it is now. Those who ask at the same time
// wait for one rendering.
func (f *feeds) get(ctx context.Context, store Store, label string) (*rendered, error) {
	changed, err := store.Changed(ctx, label)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if kept := f.rendered[label]; kept != nil && !kept.changed.Before(changed) {
		return kept, nil
	}
	feed, err := store.Feed(ctx, label)
	if err != nil {
		return nil, err
	}
	fresh, err := render(feed)
	if err != nil {
		return nil, err
	}
	if f.rendered == nil {
		f.rendered = make(map[string]*rendered)
	}
	f.rendered[label] = fresh
	return fresh, nil
}

func render(feed *labels.Feed) (*rendered, error) {
	var plain, compressed bytes.Buffer
	if err := feed.WriteHosts(&plain); err != nil {
		return nil, err
	}
	z := gzip.NewWriter(&compressed)
	if _, err := z.Write(plain.Bytes()); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(plain.Bytes())
	return &rendered{
		changed:    feed.Changed,
		tag:        base64.RawURLEncoding.EncodeToString(sum[:12]),
		plain:      plain.Bytes(),
		compressed: compressed.Bytes(),
	}, nil
}

// takesGzip reads an Accept-Encoding header, RFC 9110 section 12.5.3.
func takesGzip(header string) bool {
	any := false
	for part := range strings.SplitSeq(header, ",") {
		coding, parameters, _ := strings.Cut(part, ";")
		weight := 1.0
		if q, ok := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameters), " ", ""), "q="); ok {
			var err error
			if weight, err = strconv.ParseFloat(q, 64); err != nil {
				weight = 0
			}
		}
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return weight > 0
		case "*":
			any = weight > 0
		}
	}
	return any
}
