package main

import (
	"bytes"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/authority"
)

// A map that somebody else has signed is refused in one sentence.
func TestWrongSignature(t *testing.T) {
	signer, verifier, err := authority.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	real := &netmap.Network{Name: "test", Threshold: 1, Authorities: []netmap.Authority{{URL: "http://127.0.0.1:1", Key: verifier}}}
	a, err := authority.New(t.Context(), authority.Config{Network: real, Key: signer, State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	server := httptest.NewServer(a.Handler())
	defer server.Close()
	_, other, err := authority.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "network.toml")
	network := &netmap.Network{Name: "test", Threshold: 1, Authorities: []netmap.Authority{{URL: server.URL, Key: other}}}
	if err := network.Save(file); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"map", "--network", file},
		{"route", "--network", file, "example.org"},
		{"client", "--network", file, "--state", dir, "--socks", "127.0.0.1:0", "--wait", "300ms"},
	} {
		var out, errs bytes.Buffer
		code := command.Run(t.Context(), "port17", description, &grammar{}, args, command.IO{Out: &out, Err: &errs})
		lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
		last := lines[len(lines)-1]
		if code != 1 || !strings.Contains(lines[len(lines)-1], "not signed by enough of the network's authorities: check that the network file is the right one") {
			t.Errorf("%s: exit code %d, %q", args[0], code, last)
		}
		if out.Len() != 0 {
			t.Errorf("%s printed %q", args[0], &out)
		}
	}
}
