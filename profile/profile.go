package profile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// An Action is what happens to a connection.
type Action string

// The actions.
const (
	Permit Action = "permit" // it goes out
	Deny   Action = "deny"   // it is refused
	Tunnel Action = "tunnel" // it goes through the tunnel, or is refused
)

// Valid says whether the action is one of the three.
func (a Action) Valid() bool { return a == Permit || a == Deny || a == Tunnel }

// A Profile says what one application may do.
type Profile struct {
	ID      string   // the file's name without .toml
	Name    string   // what people call it; the ID when the file does not say
	Paths   []string // absolute paths of its executables
	Default Action   // when no rule and no list decides; empty: as for applications without a profile
	Rules   []Rule   // the first that matches decides
	Lists   *bool    // whether filter lists hold; nil: they do
	File    string   // where it was read
}

// UsesLists says whether filter lists hold for the application.
func (p *Profile) UsesLists() bool { return p.Lists == nil || *p.Lists }

// Match returns the first rule that matches the flow.
func (p *Profile) Match(f Flow) (*Rule, bool) {
	for i := range p.Rules {
		if p.Rules[i].Matches(f) {
			return &p.Rules[i], true
		}
	}
	return nil, false
}

// A SyntaxError says where a file is wrong and what was expected there. File
// is empty and Line 0 for a text that is not in a file. Columns count bytes
// from 1; 0 is an unknown place.
type SyntaxError struct {
	File         string
	Line, Column int
	Msg          string
}

// Error begins with file:line:column, as far as they are known.
func (e *SyntaxError) Error() string {
	switch {
	case e.File == "":
		return e.Msg
	case e.Line == 0:
		return fmt.Sprintf("%s: %s", e.File, e.Msg)
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg)
	default:
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
	}
}

const (
	// SizeLimit is how many bytes a profile may have.
	SizeLimit = 1 << 20
	// CountLimit is how many profiles a folder may have.
	CountLimit = 4096
)

// LoadDir reads every *.toml file of a folder, in the order of their names.
// The error joins those of all files that are wrong; the good profiles are
// returned with it. A folder that is not there has no profiles.
func LoadDir(dir string) ([]*Profile, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the profiles: %w", err)
	}
	var profiles []*Profile
	var errs []error
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) != ".toml" || entry.IsDir() {
			continue
		}
		if len(profiles)+len(errs) == CountLimit {
			errs = append(errs, fmt.Errorf("%s holds more than %d profiles: %s and those after it are not used", dir, CountLimit, entry.Name()))
			break
		}
		p, err := load(filepath.Join(dir, entry.Name()))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		profiles = append(profiles, p)
	}
	return profiles, errors.Join(errs...)
}

func load(path string) (*Profile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a profile: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, SizeLimit+1))
	if err != nil {
		return nil, fmt.Errorf("read the profile %s: %w", path, err)
	}
	return Parse(path, text)
}
