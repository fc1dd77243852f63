package ui_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"safing/portmaster/ui"
)

func get(t *testing.T, path string, header http.Header) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for k, v := range header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	ui.Handler().ServeHTTP(w, r)
	return w
}

func TestThePageIsConfined(t *testing.T) {
	w := get(t, "/", nil)
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("got %d, %q", w.Code, w.Header().Get("Content-Type"))
	}
	if csp := w.Header().Get("Content-Security-Policy"); csp == "" || strings.Contains(csp, "unsafe") {
		t.Errorf("content security policy %q", csp)
	}
	// What the policy would refuse must not be in the page.
	for _, never := range []string{`<script>`, `style="`, `<style`, `onclick=`, `://`} {
		if strings.Contains(w.Body.String(), never) {
			t.Errorf("the page contains %s", never)
		}
	}
}

func TestEveryFileThatThePageNamesIsThere(t *testing.T) {
	page := get(t, "/", nil).Body.String()
	named := regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(named) < 4 {
		t.Fatalf("the page names only %v", named)
	}
	for _, m := range named {
		if w := get(t, m[1], nil); w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("%s: got %d", m[1], w.Code)
		}
	}
	if w := get(t, "/ui/src/main.ts", nil); w.Code != http.StatusNotFound {
		t.Errorf("a file that is no part of the page: got %d", w.Code)
	}
}

func TestAnUnchangedFileIsNotSentAgain(t *testing.T) {
	first := get(t, "/ui/app.js", nil)
	again := get(t, "/ui/app.js", http.Header{"If-None-Match": {first.Header().Get("ETag")}})
	if again.Code != http.StatusNotModified {
		t.Errorf("got %d", again.Code)
	}
}

// TestTheBundlesAreUpToDate bundles the sources again and compares, where the
// bundler can be had.
func TestTheBundlesAreUpToDate(t *testing.T) {
	modules, err := filepath.Abs("../../tools/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	list, err := exec.Command("go", "tool", "-modfile="+modules, "-n", "esbuild").Output()
	if err != nil {
		t.Skipf("needs esbuild: go tool -modfile=%s esbuild: %v", modules, err)
	}
	dir := t.TempDir()
	args := []string{
		"app=src/main.ts", "app=src/app.css", "--bundle", "--minify", "--format=esm",
		"--target=es2022", "--legal-comments=none", "--log-level=warning", "--outdir=" + dir,
	}
	if out, err := exec.Command(strings.TrimSpace(string(list)), args...).CombinedOutput(); err != nil {
		t.Fatalf("bundle: %v\n%s", err, out)
	}
	for _, name := range []string{"app.js", "app.css"} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("dist", name))
		if err != nil || string(got) != string(want) {
			t.Errorf("dist/%s is not what src makes: run `go generate ./portmaster/ui` (%v)", name, err)
		}
	}
}
