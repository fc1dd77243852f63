package portmaster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	s, err := parseSettings("/etc/pm/portmaster.toml", []byte(`
default = "tunnel"
rules = ["deny 192.0.2.0/24"]
[resolver]
upstreams = ["udp://127.0.0.1:53"]
[tunnel]
network = "lab.toml"
[[list]]
name = "ads"
url = "http://127.0.0.1:8118/feeds/ads.hosts"
refresh = "10m"
[[list]]
name = "own"
url = "own.hosts"
`))
	if err != nil {
		t.Fatal(err)
	}
	if s.Default != "tunnel" || len(s.Rules) != 1 || s.Resolver.Upstreams[0] != "udp://127.0.0.1:53" {
		t.Errorf("got %+v", s)
	}
	if s.Tunnel.Network != "/etc/pm/lab.toml" || s.Lists[1].URL != "/etc/pm/own.hosts" {
		t.Errorf("relative paths became %q and %q", s.Tunnel.Network, s.Lists[1].URL)
	}
	if time.Duration(s.Lists[0].Refresh) != 10*time.Minute || time.Duration(s.Lists[1].Refresh) != time.Hour {
		t.Errorf("refresh %v and %v", s.Lists[0].Refresh, s.Lists[1].Refresh)
	}
}

func TestSettingsThatAreNotThere(t *testing.T) {
	s, err := LoadSettings(t.TempDir())
	if err != nil || s.Default != "permit" || len(s.Resolver.Upstreams) == 0 {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestWrongSettingsNameThePlace(t *testing.T) {
	for text, want := range map[string]string{
		"default = \"maybe\"":                                     `/s/portmaster.toml: default = "maybe": write permit, deny or tunnel`,
		"\ndefalt = \"deny\"":                                     `/s/portmaster.toml:2:1: there is no setting "defalt"`,
		"[resolver]\nupstream = []":                               `/s/portmaster.toml:2:1: there is no setting "resolver.upstream"`,
		"default = \n":                                            `/s/portmaster.toml:1:`,
		"default = 7":                                             `/s/portmaster.toml:1:11: `,
		"[[list]]\nname = \"a b\"\nurl = \"x\"":                   `name = "a b"`,
		"[[list]]\nname = \"a\"":                                  `url = ""`,
		"[[list]]\nname = \"a\"\nurl = \"ftp://x/y\"":             `only http, https and paths of files`,
		"[[list]]\nname = \"a\"\nurl = \"x\"\nrefresh = \"soon\"": `"soon" is not a duration`,
		"[[list]]\nname = \"a\"\nurl = \"x\"\nrefresh = \"1ms\"":  `at least 1s`,
		"[[list]]\nname = \"a\"\nurl = \"x\"\n[[list]]\nname = \"a\"\nurl = \"x\"": `is there twice`,
		"[history]\ndays = -1": `cannot be negative`,
	} {
		_, err := parseSettings("/s/portmaster.toml", []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func FuzzSettings(f *testing.F) {
	f.Add("default = \"tunnel\"\n[[list]]\nname = \"a\"\nurl = \"x\"")
	f.Add("[tunnel]\nnetwork = 1")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSettings("portmaster.toml", []byte(text))
		if err == nil && (s.Default == "" || len(s.Resolver.Upstreams) == 0) {
			t.Errorf("incomplete: %+v", s)
		}
	})
}

func TestOneDaemonForAFolder(t *testing.T) {
	dir := t.TempDir()
	first, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openState(dir); err == nil || !strings.Contains(err.Error(), "already uses "+dir) || !strings.Contains(err.Error(), "--state") {
		t.Errorf("a second daemon: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := openState(dir)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	again.Close()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder is open to others: %v, %v", info.Mode(), err)
	}
}

func TestTheSecretStays(t *testing.T) {
	s, err := openState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first, err := s.token()
	if err != nil || len(first) < tokenLength {
		t.Fatalf("got %q, %v", first, err)
	}
	if again, err := s.token(); err != nil || again != first {
		t.Errorf("it changed from %q to %q, %v", first, again, err)
	}
	if info, err := os.Stat(s.file("token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is open to others: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(s.file("token"), []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.token(); err == nil || !strings.Contains(err.Error(), "delete the file") {
		t.Errorf("a damaged secret: %v", err)
	}
}

func TestAFolderThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openState(filepath.Join(file, "below")); err == nil || !strings.Contains(err.Error(), "choose another with --state") {
		t.Errorf("got %v", err)
	}
}
