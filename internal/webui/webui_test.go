package webui

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAssets(t *testing.T) {
	h := Assets()
	w := get(t, h, "GET", "/assets/tokens.css")
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/css") {
		t.Fatalf("got %d %s", w.Code, w.Header())
	}
	if w.Header().Get("Cache-Control") != "public, no-cache" {
		t.Errorf("a plain address is cached: %q", w.Header().Get("Cache-Control"))
	}
	tag := w.Header().Get("ETag")
	if w = get(t, h, "GET", "/assets/tokens.css", "If-None-Match", tag); w.Code != http.StatusNotModified {
		t.Errorf("with its own tag: got %d, want 304", w.Code)
	}
	if w = get(t, h, "GET", "/assets/tokens.css", "If-None-Match", `"other"`); w.Code != http.StatusOK {
		t.Errorf("with another tag: got %d, want 200", w.Code)
	}
	w = get(t, h, "GET", Asset("tokens.css"))
	if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("with the version: got %d, %q", w.Code, w.Header().Get("Cache-Control"))
	}
	if w = get(t, h, "HEAD", "/assets/tokens.css"); w.Code != http.StatusOK || w.Body.Len() != 0 {
		t.Errorf("HEAD: got %d with %d bytes", w.Code, w.Body.Len())
	}
}

func TestAssetsRefuse(t *testing.T) {
	for _, c := range []struct {
		method, target string
		code           int
	}{
		{"GET", "/assets/", http.StatusNotFound},
		{"GET", "/assets/nothing.css", http.StatusNotFound},
		{"GET", "/assets/../assets.go", http.StatusNotFound},
		{"GET", "/assets/%2e%2e/assets.go", http.StatusNotFound},
		{"GET", "/tokens.css", http.StatusNotFound},
		{"POST", "/assets/tokens.css", http.StatusMethodNotAllowed},
	} {
		if w := get(t, Assets(), c.method, c.target); w.Code != c.code {
			t.Errorf("%s %s: got %d, want %d", c.method, c.target, w.Code, c.code)
		}
	}
	if got := Asset("nothing.css"); got != "/assets/nothing.css" {
		t.Errorf("got %q", got)
	}
}

func TestSecure(t *testing.T) {
	h := Secure(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hi") }))
	w := get(t, h, "GET", "/")
	if w.Body.String() != "hi" {
		t.Errorf("got %q", w.Body)
	}
	csp := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{
		"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:",
		"connect-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
	} {
		if !strings.Contains(csp, want) {
			t.Errorf("the policy lacks %s: %s", want, csp)
		}
	}
	if strings.Contains(csp, "unsafe") {
		t.Errorf("the policy allows what is unsafe: %s", csp)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestContrast holds text to 4.5:1 on each surface it stands on, and the
// edges of controls to 3:1, in light and dark.
func TestContrast(t *testing.T) {
	data, err := files.ReadFile("assets/tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	colors := regexp.MustCompile(`(?m)^\s*--([a-z-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\);`)
	tokens := make(map[string][2]string)
	for _, m := range colors.FindAllStringSubmatch(string(data), -1) {
		tokens[m[1]] = [2]string{m[2], m[3]}
	}
	type pair struct {
		ink, behind string
		least       float64
	}
	pairs := []pair{{"accent-fill", "", 4.5}}
	for _, surface := range []string{"page", "surface", "raised"} {
		for _, ink := range []string{"ink", "ink-soft", "accent"} {
			pairs = append(pairs, pair{ink, surface, 4.5})
		}
		pairs = append(pairs, pair{"line-strong", surface, 3})
	}
	for _, verdict := range []string{"permit", "deny", "tunnel", "warn"} {
		for _, behind := range []string{verdict + "-tint", "surface"} {
			pairs = append(pairs, pair{verdict, behind, 4.5})
		}
	}
	for _, p := range pairs {
		for i, scheme := range []string{"light", "dark"} {
			behind := "ffffff" // --accent-ink, on a filled button
			if p.behind != "" {
				behind = tokens[p.behind][i]
			}
			if got := contrast(t, tokens[p.ink][i], behind); got < p.least {
				t.Errorf("%s: --%s on --%s has %.2f:1, want %.1f:1", scheme, p.ink, p.behind, got, p.least)
			}
		}
	}
}

// contrast is WCAG 2.2's ratio, https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	light, dark := luminance(t, a), luminance(t, b)
	if light < dark {
		light, dark = dark, light
	}
	return (light + 0.05) / (dark + 0.05)
}

func luminance(t *testing.T, color string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(color, 16, 32)
	if err != nil {
		t.Fatalf("color %q: %v", color, err)
	}
	channel := func(shift int) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(16) + 0.7152*channel(8) + 0.0722*channel(0)
}
