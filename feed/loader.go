package feed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// LoaderConfig says where a list comes from.
type LoaderConfig struct {
	Name string // of the list
	URL  string // http or https, or the path of a file
	// Copy is the path at which the last good text is kept; empty: it is not.
	Copy string
	// Timeout bounds a fetch from the first byte sent to the last one
	// received; 0 means 30 s.
	Timeout time.Duration
	// Client sends requests; nil means one that follows at most 5 redirects
	// and keeps no cookies.
	Client *http.Client
}

const (
	defaultTimeout = 30 * time.Second
	redirectLimit  = 5
)

// A Loader has the last good reading of a list. It may be used by any number
// of goroutines; fetches wait for each other.
type Loader struct {
	config LoaderConfig
	remote bool

	fetching sync.Mutex // held during a fetch
	known    bool       // there is a reading, of the text with this sum; guarded by fetching
	sum      [sha256.Size]byte
	etag     string // of the text on the server; guarded by fetching

	mu     sync.Mutex
	status Status
}

// A Status says how a list fares.
type Status struct {
	Feed    *Feed     // the last good reading; nil while there is none
	Fetched time.Time // when the source last answered well; zero: not since the start
	Err     error     // why the last attempt failed; nil when it did not
}

// NewLoader makes a loader and takes the copy on disk, if there is one. A
// damaged copy is as good as none; [Loader.Status] has the error until the
// next fetch. An error is returned for a configuration that cannot work.
func NewLoader(c LoaderConfig) (*Loader, error) {
	u, err := url.Parse(c.URL)
	if err != nil || c.URL == "" {
		return nil, fmt.Errorf("list %s: %q is no address: write http://…, https://… or the path of a file", c.Name, c.URL)
	}
	l := &Loader{config: c, remote: u.Scheme != ""}
	if l.remote && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return nil, fmt.Errorf("list %s: only http, https and paths of files are understood, not %q", c.Name, c.URL)
	}
	if c.Timeout <= 0 {
		l.config.Timeout = defaultTimeout
	}
	if c.Client == nil {
		l.config.Client = &http.Client{CheckRedirect: fewRedirects}
	}
	if c.Copy != "" {
		l.status.Err = l.restore()
	}
	return l, nil
}

func fewRedirects(_ *http.Request, via []*http.Request) error {
	if len(via) >= redirectLimit {
		return errors.New("too many redirects")
	}
	return nil
}

func (l *Loader) restore() error {
	text, err := readFile(l.config.Copy)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the copy of list %s: %w", l.config.Name, err)
	}
	f, err := ParseHosts(l.config.Name, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("the copy in %s is damaged: %w", l.config.Copy, err)
	}
	l.known, l.sum, l.status.Feed = true, sha256.Sum256(text), f
	return nil
}

// Status returns how the list fares.
func (l *Loader) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.status
}

// Fetch asks the source for the list. changed says that [Status].Feed is
// another than before. After an error the reading before stays; an error with
// changed means that only the copy on disk could not be written.
func (l *Loader) Fetch(ctx context.Context) (changed bool, err error) {
	l.fetching.Lock()
	defer l.fetching.Unlock()
	ctx, cancel := context.WithTimeout(ctx, l.config.Timeout)
	defer cancel()
	f, text, err := l.fetch(ctx)
	if err != nil {
		err = fmt.Errorf("fetch list %s: %w", l.config.Name, err)
	} else if f != nil && l.config.Copy != "" {
		err = writeFile(l.config.Copy, text)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if f != nil {
		l.status.Feed = f
	}
	if l.status.Err = err; err == nil || f != nil {
		l.status.Fetched = time.Now()
	}
	return f != nil, err
}

// fetch returns no feed when the text is the same as before. The caller holds
// fetching.
func (l *Loader) fetch(ctx context.Context) (*Feed, []byte, error) {
	text, etag, err := l.read(ctx)
	if err != nil || text == nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(text)
	if l.known && sum == l.sum {
		l.etag = etag
		return nil, nil, nil
	}
	f, err := ParseHosts(l.config.Name, bytes.NewReader(text))
	if err != nil {
		return nil, nil, err
	}
	l.known, l.sum, l.etag = true, sum, etag
	return f, text, nil
}

// read returns no text when the server says that it has not changed.
func (l *Loader) read(ctx context.Context) (text []byte, etag string, err error) {
	if !l.remote {
		text, err = readFile(l.config.URL)
		return text, "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.config.URL, nil)
	if err != nil {
		return nil, "", err
	}
	if l.known && l.etag != "" {
		r.Header.Set("If-None-Match", l.etag)
	}
	answer, err := l.config.Client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		text, err = readBounded(answer.Body)
		return text, answer.Header.Get("ETag"), err
	case http.StatusNotModified:
		return nil, "", nil
	default:
		return nil, "", fmt.Errorf("the server answered %s", answer.Status)
	}
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f)
}

// readBounded never returns nil without an error.
func readBounded(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, SizeLimit+1))
	if err != nil {
		return nil, err
	}
	if len(text) > SizeLimit {
		return nil, fmt.Errorf("larger than %d MiB", SizeLimit>>20)
	}
	return text, nil
}

// writeFile replaces a file in one step; a crash leaves the old or the new.
func writeFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keep a copy: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the renaming
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("keep a copy: %w", err)
	}
	return nil
}
