package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"safing/internal/command"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stamp": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("STAMP_STATE", e.WorkDir+"/state")
			return nil
		},
	})
}

// run runs a command line and returns what it printed.
func run(ctx context.Context, t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e strings.Builder
	code = command.Run(ctx, "stamp", description, &grammar{}, args, command.IO{Out: &o, Err: &e})
	return code, o.String(), e.String()
}

// TestServe runs the site from its ready line to its end, and changes the
// store from outside in between.
func TestServe(t *testing.T) {
	state := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := command.Run(ctx, "stamp", description, &grammar{},
			[]string{"serve", "--state", state, "--listen", "127.0.0.1:0"}, command.IO{Out: in, Err: io.Discard})
		in.Close()
		ended <- code
	}()
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "ready http=")
	if err != nil || !ok {
		t.Fatalf("got %q, %v; want a ready line", line, err)
	}
	if body := fetch(t, "http://"+address+"/"); !strings.Contains(body, "tracker.test") {
		t.Errorf("the page lacks the starter set:\n%s", body)
	}
	if code, _, errs := run(ctx, t, "add", "ads", "Fresh.test", "--state", state); code != 0 {
		t.Fatalf("add beside the site: %d %s", code, errs)
	}
	if body := fetch(t, "http://"+address+"/feeds/ads.hosts"); !strings.Contains(body, "\n0.0.0.0 fresh.test\n") {
		t.Errorf("the feed lacks what was added:\n%s", body)
	}
	code, _, errs := run(ctx, t, "serve", "--state", state, "--listen", address)
	if code != 1 || !strings.Contains(errs, "already listens on "+address) || !strings.Contains(errs, "--listen") {
		t.Errorf("a second site: %d %q", code, errs)
	}
	cancel()
	if rest, err := io.ReadAll(lines); err != nil || len(rest) != 0 {
		t.Errorf("after the ready line came %q, %v", rest, err)
	}
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d after a request to end", code)
	}
	if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		c.Close()
		t.Error("something still listens")
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v", url, response.StatusCode, err)
	}
	return string(body)
}

func TestListJSON(t *testing.T) {
	code, out, errs := run(t.Context(), t, "list", "--json", "--state", t.TempDir())
	if code != 0 || errs != "" {
		t.Fatalf("%d %q", code, errs)
	}
	var listed []struct{ Domain, Label, Why, Added string }
	if err := json.Unmarshal([]byte(out), &listed); err != nil {
		t.Fatal(err)
	}
	if len(listed) == 0 || listed[0].Domain != "ads.test" || listed[0].Label != "ads" || listed[0].Why == "" {
		t.Errorf("got %+v", listed)
	}
	for _, e := range listed {
		if _, err := time.Parse(time.RFC3339, e.Added); err != nil {
			t.Errorf("%s: %v", e.Domain, err)
		}
	}
}
