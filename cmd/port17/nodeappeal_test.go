//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/authority"
)

// A running node publishes the appeal that was written into its settings.
func TestAppealIsPublished(t *testing.T) {
	appeals := make(chan string, 64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/descriptors" {
			http.NotFound(w, r)
			return
		}
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		d, err := netmap.OpenDescriptor(b)
		if err != nil {
			t.Error(err)
			return
		}
		appeals <- d.Appeal
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	_, verifier, err := authority.GenerateKey("test")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	trust := &netmap.Network{Name: "test", Threshold: 1, PrivateAddresses: true, Authorities: []netmap.Authority{{URL: s.URL, Key: verifier}}}
	if err := trust.Save(filepath.Join(dir, "network.toml")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "node.toml")
	text := "network = \"network.toml\"\nstate = \"state\"\nlisten = [\"127.0.0.1:0\"]\nname = \"n\"\nowner = \"o\"\nappeal = \"first\"\ndrain = \"0s\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "node", "--config", file)
	await := func(want string) {
		t.Helper()
		limit := time.After(20 * time.Second)
		for {
			select {
			case got := <-appeals:
				if got == want {
					return
				}
			case <-limit:
				t.Fatalf("the appeal %q is not published", want)
			}
		}
	}
	await("first")
	for i := range 3 {
		var out, errs bytes.Buffer
		args := []string{"node", "appeal", "--config", file, fmt.Sprint("again ", i)}
		if code := command.Run(t.Context(), "port17", description, &grammar{}, args, command.IO{Out: &out, Err: &errs}); code != 0 {
			t.Fatalf("exit code %d: %s", code, &errs)
		}
		if err := p.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		await(fmt.Sprint("again ", i))
	}
}
