package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"golang.org/x/net/proxy"

	"safing/internal/command"
	"safing/portmaster/kernel"
)

type upCommand struct {
	Folder     `embed:""`
	Portmaster string `help:"Where Portmaster's page listens." default:"127.0.0.1:8117"`
	Stamp      string `help:"Where Stamp's site listens." default:"127.0.0.1:8118"`
	Socks      string `help:"Where the Port17 client's proxy listens." default:"127.0.0.1:8119"`
}

//go:embed portmaster.toml.tmpl
var portmasterConfig string

//go:embed curl.toml
var curlProfile string

// Run starts everything, says so, and waits for Ctrl-C.
func (c *upCommand) Run(ctx context.Context, io command.IO) error {
	if os.Geteuid() != 0 {
		return errors.New("the lab's firewall needs root: run `sudo make up`, or start the network alone with `bin/lab net`")
	}
	w, err := open(c.State, io.Err)
	if err != nil {
		return err
	}
	s, err := c.start(ctx, w)
	defer func() {
		if err := w.unguard(s.Cgroup); err != nil {
			fmt.Fprintln(io.Err, err)
		}
		w.lock.Close()
	}()
	if err != nil {
		return interrupted(ctx, err)
	}
	if err := s.save(w.dir); err != nil {
		return err
	}
	defer os.Remove(statePath(w.dir))
	fmt.Fprintf(io.Out, "lab is up  portmaster %s  stamp %s  socks %s\n", s.UI, s.Stamp, s.Socks)
	w.report(ctx)
	fmt.Fprintln(io.Err, "lab stops")
	return nil
}

// start starts the network, Stamp, the name server and Portmaster, and checks
// that they answer. What it started is in w, also when it fails.
func (c *upCommand) start(ctx context.Context, w *world) (state, error) {
	n, err := w.startNetwork(ctx, usual(c.Socks))
	if err != nil {
		return state{}, err
	}
	stamp, err := w.start(ctx, "stamp", "stamp", "stamp", "serve",
		"--state", filepath.Join(w.dir, "stamp"), "--listen", c.Stamp)
	if err != nil {
		return state{}, err
	}
	names, err := listenNames()
	if err != nil {
		return state{}, err
	}
	go names.serve(ctx)

	cgroup, err := guardedGroup(w.dir)
	if err != nil {
		return state{}, err
	}
	lists, err := labels(ctx, w)
	if err != nil {
		return state{}, err
	}
	guard, err := c.startPortmaster(ctx, w, config{
		Lists:   lists,
		Network: n.file,
		Names:   names.streams.Addr().String(),
		Stamp:   "http://" + stamp.ready["http"],
	}, cgroup)
	if err != nil {
		return state{Cgroup: cgroup}, err
	}
	s := w.describe(n)
	s.Stamp, s.Names, s.Cgroup = "http://"+stamp.ready["http"], names.streams.Addr().String(), cgroup
	s.UI, s.API = guard.ready["ui"], guard.ready["api"]
	return s, answers(ctx, s)
}

// labels are those of Stamp's store; each is a feed for Portmaster.
func labels(ctx context.Context, w *world) ([]string, error) {
	out, err := w.run(ctx, "stamp", "list", "--json", "--state", filepath.Join(w.dir, "stamp"))
	if err != nil {
		return nil, err
	}
	var entries []struct{ Label string }
	if err := json.Unmarshal(out, &entries); err != nil {
		return nil, fmt.Errorf("read Stamp's labels: %w", err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Label)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// config is what portmaster.toml.tmpl is filled with.
type config struct {
	Network, Names, Stamp string
	Lists                 []string
}

func (c *upCommand) startPortmaster(ctx context.Context, w *world, values config, cgroup string) (*process, error) {
	dir := filepath.Join(w.dir, "portmaster")
	if err := writeConfig(dir, values); err != nil {
		return nil, err
	}
	if err := makeCgroup(cgroup); err != nil {
		return nil, err
	}
	return w.start(ctx, "portmaster", "portmaster", "portmaster", "run",
		"--cgroup", cgroup, "--state", dir, "--listen", c.Portmaster)
}

// writeConfig writes Portmaster's configuration, whose addresses change with
// each start, and an example of a profile, which stays as the user edits it.
func writeConfig(dir string, values config) error {
	profiles := filepath.Join(dir, "profiles")
	if err := os.MkdirAll(profiles, 0o700); err != nil {
		return err
	}
	t, err := template.New("portmaster.toml").Parse(portmasterConfig)
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := t.Execute(&text, values); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "portmaster.toml"), []byte(text.String()), 0o600); err != nil {
		return err
	}
	path := filepath.Join(profiles, "curl.toml")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		curl = "/usr/bin/curl"
	}
	return os.WriteFile(path, []byte(strings.ReplaceAll(curlProfile, "/usr/bin/curl", curl)), 0o600)
}

// guardedGroup is the control group of the lab in dir.
func guardedGroup(dir string) (string, error) {
	mount, err := kernel.CgroupMount()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(dir))
	return filepath.Join(mount, "safing-lab-"+hex.EncodeToString(sum[:4])), nil
}

// unguard ends the commands of the lab while they are still guarded, then
// every process, and removes what a Portmaster that was killed left in the
// kernel. cgroup is empty when there never was one.
func (w *world) unguard(cgroup string) error {
	err := removeCgroup(cgroup)
	w.stop()
	if cgroup == "" {
		return err
	}
	_, stopped := w.run(context.Background(), "portmaster", "stop", "--state", filepath.Join(w.dir, "portmaster"))
	return errors.Join(err, stopped)
}

// answers asks every part once: the pages, and Stamp's page through the
// network.
func answers(ctx context.Context, s state) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	socks, err := proxy.SOCKS5("tcp", s.Socks, nil, proxy.Direct)
	if err != nil {
		return err
	}
	through := &http.Client{Transport: &http.Transport{
		DialContext:       socks.(proxy.ContextDialer).DialContext,
		DisableKeepAlives: true,
	}}
	jar, err := cookiejar.New(nil) // the page's address holds a token that becomes a cookie
	if err != nil {
		return err
	}
	for _, check := range []struct {
		what, url string
		client    *http.Client
	}{
		{"Portmaster's page", s.UI, &http.Client{Jar: jar}},
		{"Stamp's site", s.Stamp, http.DefaultClient},
		{"Stamp's site through the network", s.Stamp, through},
	} {
		if err := get(ctx, check.client, check.url); err != nil {
			return fmt.Errorf("%s does not answer: %w", check.what, err)
		}
	}
	return nil
}

func get(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	start := time.Now()
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if answer.StatusCode >= 400 {
		return fmt.Errorf("%s after %v", answer.Status, time.Since(start).Round(time.Millisecond))
	}
	return nil
}
