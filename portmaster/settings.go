package portmaster

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"reflect"
	"time"

	"safing/internal/settings"
	"safing/profile"
)

// Settings are what portmaster.toml in the state folder says. The zero value
// is completed by [LoadSettings].
type Settings struct {
	// Default is what happens to connections of applications without a
	// profile when no rule and no list decides: permit, deny or tunnel.
	Default string `toml:"default"`
	// Rules hold for every application, after the profile's own.
	Rules []string `toml:"rules"`
	// GeoIP is a country database in the MMDB format; empty: countries are
	// not shown.
	GeoIP string `toml:"geoip"`

	Resolver ResolverSettings `toml:"resolver"`
	Lists    []ListSettings   `toml:"list"`
	Tunnel   TunnelSettings   `toml:"tunnel"`
	History  HistorySettings  `toml:"history"`
}

// ResolverSettings say who answers DNS questions.
type ResolverSettings struct {
	// Upstreams are asked in turn: tls://ADDRESS@NAME, udp://ADDRESS:PORT or
	// tcp://ADDRESS:PORT.
	Upstreams []string `toml:"upstreams"`
}

// ListSettings name a filter list in the hosts format.
type ListSettings struct {
	Name    string   `toml:"name"`    // letters, digits, - and _
	URL     string   `toml:"url"`     // http, https, or the path of a file
	Refresh Duration `toml:"refresh"` // how often it is fetched, 1h by default, at least 1s
}

// TunnelSettings name a Port17 network.
type TunnelSettings struct {
	Network string `toml:"network"` // path of the network's file
	Level   string `toml:"level"`   // normal, high or extreme
}

// HistorySettings bound the history.
type HistorySettings struct {
	Rows int `toml:"rows"` // 1,000,000 by default
	Days int `toml:"days"` // 30 by default
}

// A Duration is written as 90s, 10m or 1h30m.
type Duration time.Duration

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 90s, 10m or 1h", b)
	}
	*d = Duration(v)
	return nil
}

const (
	settingsFile    = "portmaster.toml"
	listLimit       = 64
	shortestRefresh = time.Second
	defaultRefresh  = time.Hour
)

// defaultUpstreams encrypt questions and keep no log of who asked; they are
// used when the settings name none.
func defaultUpstreams() []string {
	return []string{"tls://9.9.9.9@dns.quad9.net", "tls://149.112.112.112@dns.quad9.net"}
}

// LoadSettings reads portmaster.toml in the state folder. A file that is not
// there is an empty one. Relative paths in it are relative to the folder.
func LoadSettings(state string) (Settings, error) {
	path := filepath.Join(state, settingsFile)
	b, err := settings.Read(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Settings{}, err
	}
	return parseSettings(path, b)
}

// parseSettings reads the text of a settings file. Errors begin with
// file:line:column where the file can be blamed for a place.
func parseSettings(path string, b []byte) (Settings, error) {
	var s Settings
	if err := settings.Decode(path, b, &s); err != nil {
		return Settings{}, err
	}
	if err := s.complete(filepath.Dir(path)); err != nil {
		return Settings{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// complete checks the settings and fills in the defaults.
func (s *Settings) complete(dir string) error {
	switch s.Default {
	case "":
		s.Default = "permit"
	case "permit", "deny", "tunnel":
	default:
		return fmt.Errorf("default = %q: write permit, deny or tunnel", s.Default)
	}
	if len(s.Resolver.Upstreams) == 0 {
		s.Resolver.Upstreams = defaultUpstreams()
	}
	if s.History.Rows < 0 || s.History.Days < 0 {
		return errors.New("[history]: rows and days cannot be negative")
	}
	s.GeoIP = below(dir, s.GeoIP)
	s.Tunnel.Network = below(dir, s.Tunnel.Network)
	return s.completeLists(dir)
}

func (s *Settings) completeLists(dir string) error {
	if len(s.Lists) > listLimit {
		return fmt.Errorf("%d lists: at most %d can be used", len(s.Lists), listLimit)
	}
	seen := make(map[string]bool)
	for i := range s.Lists {
		l := &s.Lists[i]
		if !listName(l.Name) {
			return fmt.Errorf("[[list]] number %d: name = %q: use 1 to 64 letters, digits, - and _", i+1, l.Name)
		}
		if seen[l.Name] {
			return fmt.Errorf("[[list]] %s is there twice", l.Name)
		}
		seen[l.Name] = true
		u, err := url.Parse(l.URL)
		switch {
		case err != nil || l.URL == "":
			return fmt.Errorf("[[list]] %s: url = %q: write the address or the path of a hosts file", l.Name, l.URL)
		case u.Scheme == "":
			l.URL = below(dir, l.URL)
		case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			return fmt.Errorf("[[list]] %s: url = %q: only http, https and paths of files are understood", l.Name, l.URL)
		}
		if l.Refresh == 0 {
			l.Refresh = Duration(defaultRefresh)
		}
		if time.Duration(l.Refresh) < shortestRefresh {
			return fmt.Errorf("[[list]] %s: refresh must be at least %v", l.Name, shortestRefresh)
		}
	}
	return nil
}

// below resolves a path against a folder, unless it is empty or absolute.
func below(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// listName says whether a name can be a file name anywhere.
func listName(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// parsedRules are the rules that hold for every application.
func (s *Settings) parsedRules(path string) ([]profile.Rule, error) {
	rules := make([]profile.Rule, len(s.Rules))
	for i, text := range s.Rules {
		r, err := profile.ParseRule(text)
		if err != nil {
			return nil, fmt.Errorf("%s: rules, number %d: %w", path, i+1, err)
		}
		rules[i] = r
	}
	return rules, nil
}

// needsRestart names the first setting that differs and cannot change while
// the daemon runs.
func (s *Settings) needsRestart(before Settings) string {
	switch {
	case s.GeoIP != before.GeoIP:
		return "geoip"
	case !reflect.DeepEqual(s.Resolver, before.Resolver):
		return "[resolver]"
	case !reflect.DeepEqual(s.Lists, before.Lists):
		return "[[list]]"
	case s.Tunnel != before.Tunnel:
		return "[tunnel]"
	case s.History != before.History:
		return "[history]"
	default:
		return ""
	}
}
