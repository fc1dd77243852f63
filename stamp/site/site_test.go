package site

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"safing/stamp/labels"
)

// serve starts a site with the starter set.
func serve(t *testing.T) (*labels.Store, *httptest.Server) {
	t.Helper()
	store, err := labels.Open(t.Context(), filepath.Join(t.TempDir(), "stamp.db"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(New(Config{Store: store}))
	server.Client().Transport.(*http.Transport).DisableCompression = true
	server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() { server.Close(); store.Close() })
	return store, server
}

// answer is what came back, with its body.
type answer struct {
	*http.Response
	body string
}

func get(t *testing.T, server *httptest.Server, path string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response, string(body)}
}

func add(t *testing.T, store *labels.Store, label, why string, domains ...string) {
	t.Helper()
	if _, err := store.Add(t.Context(), label, why, domains...); err != nil {
		t.Fatal(err)
	}
}

func TestPages(t *testing.T) {
	store, server := serve(t)
	add(t, store, "tracker", "<script>alert(1)</script>", "bücher.test")
	for _, c := range []struct {
		path string
		code int
		want []string
		not  string
	}{
		{"/", 200, []string{"ads.test", "malware.test", "9 domains", `href="/?label=ads"`, "Starter set", "/assets/tokens.css?v="}, "<script"},
		{"/?label=tracker", 200, []string{"tracker.test", "xn--bcher-kva.test", "bücher.test", "/feeds/tracker.hosts", "&lt;script&gt;"}, "malware.test"},
		{"/?q=PIXEL", 200, []string{"pixel.test", "1 match for"}, "beacon.test"},
		{"/?q=cdn.pixel.test", 200, []string{"<strong>cdn.pixel.test</strong> is listed through its parent"}, "beacon.test"},
		{"/?q=pixel&label=ads", 200, []string{"Not listed", `name="label" value="ads"`}, "pixel.test"},
		{"/?q=%22%3E%3Cb%3E", 200, []string{"Not listed", "&#34;&gt;&lt;b&gt;"}, "<b>"},
		{"/?q=" + strings.Repeat("%C3%A4", 400), 200, []string{"Not listed"}, ""},
		{"/?page=x", 200, []string{"ads.test"}, ""},
		{"/?label=nothing", 404, []string{"No such label"}, ""},
		{"/feeds/", 200, []string{"/feeds/ads.hosts", `name = "stamp-malware"`, server.URL + "/feeds/tracker.hosts"}, ""},
		{"/feeds/nothing.hosts", 404, []string{"No such label"}, ""},
		{"/feeds/ads.txt", 404, []string{"Nothing is here"}, ""},
		{"/nothing", 404, []string{"Nothing is here"}, ""},
		{"/static/", 404, nil, "site.css"},
		{"/static/site.css", 200, []string{".intro"}, ""},
		{"/static/icon.svg", 200, []string{"<svg"}, ""},
		{"/assets/tokens.css", 200, []string{"--page"}, ""},
	} {
		a := get(t, server, c.path)
		if a.StatusCode != c.code {
			t.Errorf("%s: got %d, want %d", c.path, a.StatusCode, c.code)
		}
		for _, want := range c.want {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s lacks %q:\n%s", c.path, want, a.body)
			}
		}
		if c.not != "" && strings.Contains(a.body, c.not) {
			t.Errorf("%s has %q", c.path, c.not)
		}
		if !strings.Contains(a.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s has no strict policy", c.path)
		}
	}
}

func TestSiteIsReadOnly(t *testing.T) {
	_, server := serve(t)
	for _, path := range []string{"/", "/feeds/ads.hosts"} {
		response, err := server.Client().Post(server.URL+path, "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: got %d, want 405", path, response.StatusCode)
		}
	}
}

func TestPagination(t *testing.T) {
	store, server := serve(t)
	var many []string
	for i := range 2*perPage + 10 {
		many = append(many, fmt.Sprintf("n%04d.test", i))
	}
	add(t, store, "many", "", many...)
	first := get(t, server, "/?label=many")
	if !strings.Contains(first.body, "n0000.test") || strings.Contains(first.body, many[perPage]) ||
		!strings.Contains(first.body, `href="/?label=many&amp;page=2" rel="next"`) || strings.Contains(first.body, `rel="prev"`) {
		t.Errorf("the first page:\n%s", first.body)
	}
	last := get(t, server, "/?label=many&page=3")
	if !strings.Contains(last.body, many[2*perPage]) || !strings.Contains(last.body, "101 to 110 of 110") || strings.Contains(last.body, `rel="next"`) {
		t.Errorf("the last page:\n%s", last.body)
	}
	beyond := get(t, server, "/?label=many&page=999999999")
	if beyond.StatusCode != http.StatusFound || beyond.Header.Get("Location") != "/?label=many&page=3" {
		t.Errorf("beyond the end: got %d to %q, want the last page", beyond.StatusCode, beyond.Header.Get("Location"))
	}
}

func TestEmptyStore(t *testing.T) {
	store, server := serve(t)
	counts, err := store.Labels(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range counts {
		f, err := store.Feed(t.Context(), c.Label)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Remove(t.Context(), c.Label, f.Domains...); err != nil {
			t.Fatal(err)
		}
	}
	if a := get(t, server, "/"); !strings.Contains(a.body, "No domains yet") {
		t.Errorf("got:\n%s", a.body)
	}
	if a := get(t, server, "/feeds/ads.hosts"); a.StatusCode != 200 || strings.Contains(a.body, "0.0.0.0") {
		t.Errorf("the empty feed: got %d %q", a.StatusCode, a.body)
	}
}

func TestFeed(t *testing.T) {
	store, server := serve(t)
	a := get(t, server, "/feeds/ads.hosts")
	want := "0.0.0.0 ads.test\n0.0.0.0 banners.test\n0.0.0.0 popup.test\n"
	if a.StatusCode != 200 || !strings.HasSuffix(a.body, want) || !strings.HasPrefix(a.body, "# ") {
		t.Fatalf("got %d %q", a.StatusCode, a.body)
	}
	if got := a.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Errorf("content type %q", got)
	}
	tag, modified := a.Header.Get("ETag"), a.Header.Get("Last-Modified")
	if tag == "" || modified == "" {
		t.Fatalf("no validators: %v", a.Header)
	}
	for _, condition := range [][]string{{"If-None-Match", tag}, {"If-None-Match", `"x", W/` + tag}, {"If-Modified-Since", modified}} {
		if b := get(t, server, "/feeds/ads.hosts", condition...); b.StatusCode != http.StatusNotModified || b.body != "" {
			t.Errorf("%v: got %d, want 304", condition, b.StatusCode)
		}
	}
	add(t, store, "ads", "", "new.test")
	b := get(t, server, "/feeds/ads.hosts", "If-None-Match", tag)
	if b.StatusCode != 200 || !strings.Contains(b.body, "0.0.0.0 new.test\n") || b.Header.Get("ETag") == tag {
		t.Errorf("after a change: got %d %q", b.StatusCode, b.body)
	}
	if b = get(t, server, "/feeds/ads.hosts", "If-Modified-Since", modified); b.StatusCode != 200 {
		t.Errorf("after a change, by its time: got %d", b.StatusCode)
	}
}

func TestFeedCompressed(t *testing.T) {
	_, server := serve(t)
	plain := get(t, server, "/feeds/ads.hosts")
	a := get(t, server, "/feeds/ads.hosts", "Accept-Encoding", "br, gzip;q=0.8")
	if a.Header.Get("Content-Encoding") != "gzip" || a.Header.Get("Vary") != "Accept-Encoding" {
		t.Fatalf("got %v", a.Header)
	}
	if a.Header.Get("ETag") == plain.Header.Get("ETag") {
		t.Error("two representations share a tag")
	}
	z, err := gzip.NewReader(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(z); err != nil || string(body) != plain.body {
		t.Errorf("got %q, %v; want the plain feed", body, err)
	}
	b := get(t, server, "/feeds/ads.hosts", "Accept-Encoding", "gzip", "If-None-Match", a.Header.Get("ETag"))
	if b.StatusCode != http.StatusNotModified {
		t.Errorf("with its tag: got %d, want 304", b.StatusCode)
	}
}

func TestTakesGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "x-gzip": true, "br, gzip": true, "gzip;q=0": false, "gzip; q=0.5": true,
		"gzip;q=x": false, "identity": false, "*": true, "*;q=0": false, "gzip;q=0, *": false, "deflate;q=1.0, *;q=0.5": true,
	} {
		if got := takesGzip(header); got != want {
			t.Errorf("%q: got %v, want %v", header, got, want)
		}
	}
}

// TestFeedUnderLoad has readers and a writer at once: a reader must see each
// change that was made before it asked.
func TestFeedUnderLoad(t *testing.T) {
	store, server := serve(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 10 {
				domain := fmt.Sprintf("n%d.w%d.test", n, i)
				if _, err := store.Add(t.Context(), "ads", "", domain); err != nil {
					t.Error(err)
				}
				response, err := server.Client().Get(server.URL + "/feeds/ads.hosts")
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(response.Body)
				response.Body.Close()
				if err != nil || !strings.Contains(string(body), " "+domain+"\n") {
					t.Errorf("%s is missing (%v)", domain, err)
				}
			}
		})
	}
	wg.Wait()
}

// broken is a store that cannot be read.
type broken struct{ Store }

func (broken) Labels(context.Context) ([]labels.Count, error) { return nil, errors.New("secret path") }

func TestFailureShowsNoDetails(t *testing.T) {
	w := httptest.NewRecorder()
	New(Config{Store: broken{}}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "Something broke") || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("got %d:\n%s", w.Code, w.Body)
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1\u202f000", 1234567: "1\u202f234\u202f567"} {
		if got := number(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}
