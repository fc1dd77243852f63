package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"safing/internal/command"
	"safing/portmaster/api"
	"safing/portmaster/history"
)

// fake stands in for a daemon.
type fake struct{ problems []string }

func (f fake) Status(context.Context) api.Status {
	return api.Status{PID: 7, Default: "deny", Problems: f.problems, Lists: []api.List{{Name: "ads", Entries: 3}}}
}

func (fake) Why(_ context.Context, app, destination string) (api.Why, error) {
	return api.Why{
		App: history.App{ID: app}, Destination: destination, Verdict: "deny", Reason: "rule \"deny .ads.example\"", Rule: "deny .ads.example",
		Steps: []api.Step{{Layer: "profile"}, {Layer: "global", Verdict: "deny", Reason: "rule \"deny .ads.example\""}},
	}, nil
}

func (fake) Profiles(context.Context) []api.Profile {
	return []api.Profile{{ID: "curl", Default: "tunnel", Rules: []string{"deny 127.0.0.66"}}}
}

func (f fake) Reload(context.Context) api.Reload {
	return api.Reload{Profiles: 1, Problems: f.problems}
}

// startFake serves a table and returns its state folder.
func startFake(t *testing.T, f fake, table *history.Table) string {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "api.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: api.New(api.Config{Daemon: f, Table: table, Token: strings.Repeat("t", 32), Address: "127.0.0.1:8117"}).Socket()}
	go s.Serve(l) //nolint:errcheck // ends with Close
	t.Cleanup(func() { s.Close() })
	return dir
}

func ask(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = command.Run(ctx, "portmaster", description, new(grammar), args, command.IO{Out: &out, Err: &errs}, vars())
	return code, out.String(), errs.String()
}

func tunnelled() history.Connection {
	return history.Connection{
		Kind: "connect", Started: time.Now(), App: history.App{ID: "curl", Name: "curl"}, Protocol: "tcp", Verdict: "tunnel",
		Process:     history.Process{PID: 7, Path: "/usr/bin/curl"},
		Destination: history.Destination{Address: netip.MustParseAddr("192.0.2.1"), Port: 443, Domain: "example.com"},
		Reason:      "default of profile \"curl\"", Route: []history.Hop{{Name: "alder", Country: "DE"}, {Name: "fir"}},
	}
}

func TestConnections(t *testing.T) {
	table := history.NewTable(10, 0)
	table.Add(tunnelled())
	evil := tunnelled()
	evil.App, evil.Verdict, evil.Route = history.App{}, "deny", nil
	evil.Process.Path = "/tmp/\x1b[2Jevil\n"
	table.Add(evil)
	dir := startFake(t, fake{}, table)

	code, out, errs := ask(t.Context(), "connections", "--state", dir)
	if code != 0 || !strings.Contains(out, "example.com:443  tunnel   alder DE › fir") {
		t.Errorf("exit code %d, %q\n%s", code, errs, out)
	}
	if strings.ContainsAny(out, "\x1b") || strings.Count(out, "\n") != 3 {
		t.Errorf("a path reached the terminal as it is: %q", out)
	}
	code, out, _ = ask(t.Context(), "connections", "--state", dir, "--json", "--verdict", "tunnel")
	var all []history.Connection
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 || len(all) != 1 || len(all[0].Route) != 2 {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
	if _, out, _ = ask(t.Context(), "connections", "--state", dir, "--json", "--app", "nobody"); out != "[]\n" {
		t.Errorf("no connection as JSON: %q", out)
	}
}

// stopAfter ends a context when something was written for the nth time.
type stopAfter struct {
	bytes.Buffer
	stop context.CancelFunc
	left int
	then func()
}

func (w *stopAfter) Write(b []byte) (int, error) {
	if w.left--; w.left == 0 {
		w.stop()
	} else {
		w.then()
	}
	return w.Buffer.Write(b)
}

func TestFollow(t *testing.T) {
	table := history.NewTable(10, 0)
	id := table.Add(tunnelled())
	dir := startFake(t, fake{}, table)
	for _, test := range []struct {
		flags []string
		want  []string
	}{
		{nil, []string{"curl → example.com:443", "the tunnel failed"}},
		{[]string{"--json"}, []string{`"error":""`, `"error":"the tunnel failed"`}},
	} {
		table.Update(id, func(c *history.Connection) { c.Error = "" })
		ctx, cancel := context.WithCancel(t.Context())
		out := &stopAfter{stop: cancel, left: 2, then: func() {
			table.Update(id, func(c *history.Connection) { c.Error = "the tunnel failed" })
		}}
		var errs bytes.Buffer
		args := append([]string{"connections", "--follow", "--state", dir}, test.flags...)
		code := command.Run(ctx, "portmaster", description, new(grammar), args, command.IO{Out: out, Err: &errs}, vars())
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if code != 0 || len(lines) != 2 {
			t.Fatalf("exit code %d, %d lines: %q %q", code, len(lines), out, &errs)
		}
		for i := range lines {
			if !strings.Contains(lines[i], test.want[i]) {
				t.Errorf("line %d is %q, want %q in it", i, lines[i], test.want[i])
			}
		}
	}
}

func TestAnswers(t *testing.T) {
	dir := startFake(t, fake{problems: []string{"curl.toml:3:5: wrong", "portmaster.toml:1:1: wrong"}}, history.NewTable(1, 0))
	for _, test := range []struct {
		args string
		code int
		want []string // in either output
	}{
		{"status", 0, []string{"default      deny", "profile      curl: 1 rules, else tunnel", "list         ads: 3 entries", "problem      curl.toml:3:5: wrong", "?token="}},
		{"status --json", 0, []string{`"pid": 7`}},
		{"why curl ads.example", 0, []string{"deny: rule", "global   deny", "profile  -"}},
		{"why --json curl ads.example", 0, []string{`"verdict": "deny"`}},
		{"reload", 1, []string{"portmaster: curl.toml:3:5: wrong; portmaster.toml:1:1: wrong: what was in force before stays, correct it and reload again"}},
	} {
		code, out, errs := ask(t.Context(), append(strings.Fields(test.args), "--state", dir)...)
		if code != test.code {
			t.Errorf("%s: exit code %d\n%s%s", test.args, code, out, errs)
		}
		for _, want := range test.want {
			if !strings.Contains(out+errs, want) {
				t.Errorf("%s: %q is not in\n%s%s", test.args, want, out, errs)
			}
		}
	}
}
