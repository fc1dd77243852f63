//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"safing/internal/command"
	"safing/port17/checkup"
)

// A node is checked before it starts and while it runs.
func TestNodeCheck(t *testing.T) {
	network, trust := startNetwork(t)
	state := filepath.Join(t.TempDir(), "state")
	check := func(wantCode int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		args = append([]string{"node", "check", "--network", network, "--state", state, "--name", "n", "--owner", "o"}, args...)
		code := command.Run(t.Context(), "port17", description, &grammar{}, args, command.IO{Out: &out, Err: &errs})
		if code != wantCode {
			t.Errorf("exit code %d, want %d: %s%s", code, wantCode, &out, &errs)
		}
		if wantCode == 1 && !strings.Contains(errs.String(), "have found a problem: do what they say") {
			t.Errorf("the error is %q", &errs)
		}
		return out.String()
	}
	if out := check(0, "--listen", "127.0.0.1:0"); !strings.Contains(out, "warning  key ") || !strings.Contains(out, " → ") {
		t.Errorf("before the first start:\n%s", out)
	}
	if out := check(1, "--listen", "192.0.2.1:1717"); !strings.Contains(out, "problem  address ") {
		t.Errorf("an address that the machine does not have:\n%s", out)
	}
	p := start(t, "node", "--network", network, "--state", state, "--name", "n", "--owner", "o", "--listen", "127.0.0.1:0")
	awaitMap(t, trust, p.value("id"), true)
	var findings []checkup.Finding
	if err := json.Unmarshal([]byte(check(0, "--json", "--listen", p.value("listen"))), &findings); err != nil {
		t.Fatal(err)
	}
	levels := make(map[string]checkup.Level)
	for _, f := range findings {
		levels[f.Check] = f.Level
	}
	for _, name := range []string{"key", "map", "clock", "address", "port", "listed", "settings"} {
		if levels[name] != checkup.OK {
			t.Errorf("%s: %+v", name, findings)
		}
	}
}
