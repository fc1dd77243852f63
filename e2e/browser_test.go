package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const browser = "chromium-headless-shell"

// testPage opens the lab's page in a real browser, makes a connection, and
// sees it appear.
func testPage(t *testing.T, l *lab) {
	needs(t, "curl", browser)
	s := serve(t, "127.99.0.4:0", http.HandlerFunc(hello))
	tab := openBrowser(t)
	if err := chromedp.Do(tab, chromedp.EmulateViewport(1440, 900), chromedp.Navigate(l.status().UI)); err != nil {
		t.Fatalf("open the page: %v", err)
	}
	if r := l.exec("curl", "-sS", "http://"+s.addr.String()+"/"); r.code != 0 {
		t.Fatalf("curl: exit code %d\n%s", r.code, r.stderr)
	}
	c := l.connection("the connection", func(c connection) bool {
		return c.Destination.Port == s.addr.Port() && len(c.Route) > 0
	})
	row := fmt.Sprintf("[...document.querySelectorAll('#rows tr')].some(r => %q.every(t => r.textContent.includes(t)))",
		[]string{"curl", "tunnel", s.addr.String(), c.Route[0].Name, c.Route[len(c.Route)-1].Name, "default of profile"})
	row = strings.ReplaceAll(row, `" "`, `", "`)
	if _, err := chromedp.Run(tab, chromedp.Poll[bool](row, chromedp.WithPollingTimeout(patience))); err != nil {
		text, _ := chromedp.Run(tab, chromedp.Evaluate[string]("document.body.innerText"))
		t.Errorf("the page does not show the connection: %v\n%s\n%s", err, row, text)
	}
	if dir := os.Getenv("SAFING_SCREENSHOTS"); dir != "" {
		png, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "connections.png"), png, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// openBrowser starts a browser that the test's end closes. It talks to nobody
// but the page.
func openBrowser(t *testing.T, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path := browser
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	options = append(options, more...)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}
