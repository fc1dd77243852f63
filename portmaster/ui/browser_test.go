package ui_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"safing/portmaster/api"
	"safing/portmaster/history"
	"safing/portmaster/ui"
)

const (
	browser  = "chromium-headless-shell"
	secret   = "an-installation-secret-of-enough-length"
	patience = 20 * time.Second
)

// fake stands in for the daemon.
type fake struct{}

func (fake) Status(context.Context) api.Status {
	return api.Status{Guards: "/lab", Problems: []string{"curl.toml:3:5: wrong"}}
}

func (fake) Why(context.Context, string, string) (api.Why, error) {
	return api.Why{Steps: []api.Step{{Layer: "global", Verdict: "deny", Reason: "a rule for all"}, {Layer: "lists"}}}, nil
}
func (fake) Profiles(context.Context) []api.Profile { return nil }
func (fake) Reload(context.Context) api.Reload      { return api.Reload{} }

// serve serves a table's page at an address, until stop.
func serve(t *testing.T, table *history.Table, address string) (at string, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	at = l.Addr().String()
	s := &http.Server{Handler: api.New(api.Config{Daemon: fake{}, Table: table, Page: ui.Handler(), Token: secret, Address: at}).Browser()}
	go s.Serve(l) //nolint:errcheck // ends with Close
	stop = func() { s.Close() }
	t.Cleanup(stop)
	return at, stop
}

func add(table *history.Table, app, verdict string, port uint16) uint64 {
	c := history.Connection{
		Kind: "connect", Started: time.Now(), App: history.App{ID: app, Name: app}, Protocol: "tcp", Verdict: verdict,
		Process:     history.Process{PID: 4711, Path: "/usr/bin/" + app, Args: []string{app, "<script>alert(1)</script>"}},
		Destination: history.Destination{Address: netip.MustParseAddr("192.0.2.1"), Port: port}, Reason: "because of " + verdict,
	}
	if verdict == "tunnel" {
		c.Route = []history.Hop{{ID: "a", Name: "alder", Owner: "ada", Country: "DE"}, {ID: "b", Name: "fir", Owner: "cleo", Country: "CH"}}
	}
	return table.Add(c)
}

// A tab is the page in a real browser.
type tab struct {
	t   *testing.T
	ctx context.Context
}

func open(t *testing.T, address string) *tab {
	t.Helper()
	if _, err := exec.LookPath(browser); err != nil {
		t.Skipf("needs %s: install it with `make deps`", browser)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()))
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &tab{t, ctx}
	b.do(chromedp.EmulateViewport(1280, 800), chromedp.Navigate(api.PageURL(address, secret)))
	return b
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// eventually waits until an expression is true in the page.
func (b *tab) eventually(what, expression string) {
	b.t.Helper()
	ok, err := chromedp.Run(b.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(patience)))
	if err != nil || !ok {
		text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		b.t.Fatalf("%s: not within %v: %v; the page says:\n%s", what, patience, err, text)
	}
}

// rows is an expression for the number of rows that contain a text.
func rows(text string) string {
	return fmt.Sprintf("[...document.querySelectorAll('#rows tr:not([hidden])')].filter(r => r.textContent.includes(%q)).length", text)
}

func shown(id string) string { return fmt.Sprintf("!document.getElementById(%q).hidden", id) }

func TestThePageInABrowser(t *testing.T) {
	table := history.NewTable(1000, 0)
	first := add(table, "curl", "tunnel", 1001)
	add(table, "ssh", "deny", 1002)
	address, stop := serve(t, table, "127.0.0.1:0")
	b := open(t, address)

	b.eventually("both connections are listed", rows("192.0.2.1:100")+" === 2")
	b.eventually("the route is shown", rows("alder")+" === 1")
	b.eventually("what is guarded is shown", "document.body.innerText.includes('guards /lab') && document.body.innerText.includes('curl.toml:3:5')")
	b.eventually("the address has no secret", "!location.href.includes('token')")

	table.Count(first, 5_000_000, 7)
	b.eventually("the counts follow", rows("5.0 MB")+" === 1")

	b.do(chromedp.SendKeys("#filter", "ssh"))
	b.eventually("the filter leaves one", rows("192.0.2.1")+" === 1 && "+rows("ssh")+" === 1")
	b.do(chromedp.SendKeys("#filter", "\b\b\b"), chromedp.Click("input[value=tunnel]"))
	b.eventually("the verdict filter leaves one", rows("192.0.2.1")+" === 1 && "+rows("curl")+" === 1")
	b.do(chromedp.Click("input[name=verdict][value='']"))
	b.eventually("all are back", rows("192.0.2.1")+" === 2")

	b.do(chromedp.Click("#rows tr:first-child"))
	b.eventually("the details open", shown("details")+" && document.getElementById('details').innerText.includes('a rule for all')")
	b.eventually("a command line is text", "document.getElementById('details').innerText.includes('<script>alert(1)</script>')")
	b.do(chromedp.KeyEvent("\x1b"))
	b.eventually("Escape closes them", "document.getElementById('details').hidden")

	b.do(chromedp.Click("#pause"))
	b.eventually("it is paused", "document.getElementById('pause').textContent === 'Resume'")
	add(table, "wget", "permit", 1003)
	b.eventually("what is new is counted", "document.getElementById('state').textContent === 'Paused, 1 new'")
	b.eventually("but not shown", rows("wget")+" === 0")
	b.do(chromedp.Click("#pause"))
	b.eventually("resuming shows it", rows("wget")+" === 1")

	stop()
	b.eventually("a lost connection is said", shown("lost"))
	add(table, "late", "permit", 1004)
	serve(t, table, address)
	b.eventually("it comes back by itself", "document.getElementById('lost').hidden && "+rows("late")+" === 1")
}

// TestThousandsOfRows has the page keep up, and keep few rows.
func TestThousandsOfRows(t *testing.T) {
	table := history.NewTable(10_000, 0)
	for range 5_000 {
		add(table, "curl", "tunnel", 443)
	}
	address, _ := serve(t, table, "127.0.0.1:0")
	b := open(t, address)
	b.eventually("all are counted", "document.getElementById('total-all').textContent === '5000'")
	b.eventually("only those in sight are in the page", "document.querySelectorAll('#rows tr').length < 100")
	b.eventually("it can be scrolled to the end", `(() => { const s = document.getElementById("scroller"); s.scrollTop = s.scrollHeight; return document.getElementById("row-1") !== null })()`)
	add(table, "late", "deny", 80)
	b.eventually("new ones come", "document.getElementById('total-deny').textContent === '1'")
	b.eventually("and the place is kept", `document.getElementById("row-1") !== null`)
}
