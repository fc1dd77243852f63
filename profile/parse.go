package profile

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

const (
	rulesLimit = 10_000
	pathsLimit = 256
	nameLimit  = 128 // characters
)

// Parse reads the text of a profile. file names it in errors and rules, and
// gives the profile its ID. Errors are a [*SyntaxError].
func Parse(file string, data []byte) (*Profile, error) {
	if len(data) > SizeLimit {
		return nil, &SyntaxError{File: file, Msg: fmt.Sprintf("larger than %d bytes", SizeLimit)}
	}
	// The first reading finds what is not TOML, the second knows places.
	if err := toml.Unmarshal(data, new(map[string]any)); err != nil {
		return nil, tomlError(file, err)
	}
	id := strings.TrimSuffix(filepath.Base(file), ".toml")
	r := &reader{
		lines:   lineStarts(data),
		profile: Profile{ID: id, Name: id, File: file},
		seen:    make(map[string]bool),
	}
	r.parser.Reset(data)
	for r.parser.NextExpression() {
		if err := r.expression(r.parser.Expression()); err != nil {
			return nil, err
		}
	}
	if err := r.parser.Error(); err != nil {
		return nil, &SyntaxError{File: file, Msg: err.Error()}
	}
	if len(r.profile.Paths) == 0 {
		return nil, &SyntaxError{File: file, Msg: `it does not say which programs it is for: add paths = ["/usr/bin/…"]`}
	}
	return &r.profile, nil
}

func tomlError(file string, err error) error {
	e := &SyntaxError{File: file, Msg: strings.TrimPrefix(err.Error(), "toml: ")}
	if d, ok := errors.AsType[*toml.DecodeError](err); ok {
		e.Line, e.Column = d.Position()
	}
	return e
}

// A reader fills in a profile.
type reader struct {
	parser  unstable.Parser
	lines   []int // where each line begins
	profile Profile
	seen    map[string]bool
}

func lineStarts(data []byte) []int {
	starts := []int{0}
	for at := 0; ; {
		next := bytes.IndexByte(data[at:], '\n')
		if next < 0 {
			return starts
		}
		at += next + 1
		starts = append(starts, at)
	}
}

// place is the line and column of a node, counted from 1.
func (r *reader) place(n *unstable.Node) (line, column int) {
	at := int(n.Raw.Offset)
	line = sort.SearchInts(r.lines, at+1)
	return line, at - r.lines[line-1] + 1
}

func (r *reader) fail(n *unstable.Node, format string, args ...any) error {
	line, column := r.place(n)
	return &SyntaxError{File: r.profile.File, Line: line, Column: column, Msg: fmt.Sprintf(format, args...)}
}

const known = "name, paths, default, lists and rules"

// expression reads a line of the file: key = value.
func (r *reader) expression(n *unstable.Node) error {
	keys := n.Key
	switch n.Kind {
	case unstable.KeyValue:
	case unstable.Table, unstable.ArrayTable:
		it := keys()
		it.Next()
		return r.fail(it.Node(), "a profile has no sections, only the keys %s", known)
	default:
		return nil
	}
	it := keys()
	it.Next()
	key := it.Node()
	if !it.IsLast() {
		return r.fail(key, "%q with a dot is not a key: a profile has %s", key.Data, known)
	}
	name := string(key.Data)
	if name == "path" {
		name = "paths"
	}
	if r.seen[name] {
		return r.fail(key, "%s is there twice", name)
	}
	r.seen[name] = true
	return r.key(name, key, n.Value())
}

func (r *reader) key(name string, key, value *unstable.Node) error {
	switch name {
	case "name":
		return r.name(key, value)
	case "default":
		a := Action(value.Data)
		if value.Kind != unstable.String || !a.Valid() {
			return r.fail(key, `default is "permit", "deny" or "tunnel"`)
		}
		r.profile.Default = a
	case "lists":
		if value.Kind != unstable.Bool {
			return r.fail(key, "lists is true or false")
		}
		lists := string(value.Data) == "true"
		r.profile.Lists = &lists
	case "paths":
		return r.strings(key, value, pathsLimit, r.path)
	case "rules":
		return r.strings(key, value, rulesLimit, r.rule)
	default:
		return r.fail(key, "there is no key %q: a profile has %s", name, known)
	}
	return nil
}

func (r *reader) name(key, value *unstable.Node) error {
	name := string(value.Data)
	if value.Kind != unstable.String || name == "" {
		return r.fail(key, `name is a text such as "Firefox"`)
	}
	if utf8.RuneCountInString(name) > nameLimit || strings.ContainsFunc(name, unicode.IsControl) {
		return r.fail(key, "name has at most %d characters, none of them a line break or tab", nameLimit)
	}
	r.profile.Name = name
	return nil
}

// strings calls take for each text of a list, or for the one text.
func (r *reader) strings(key, value *unstable.Node, limit int, take func(*unstable.Node) error) error {
	if value.Kind == unstable.String {
		return take(value)
	}
	if value.Kind != unstable.Array {
		return r.fail(key, `%s is a list of texts: %s = ["…", "…"]`, key.Data, key.Data)
	}
	count := 0
	for it := value.Children(); it.Next(); {
		n := it.Node()
		if n.Kind != unstable.String {
			return r.fail(key, `%s holds something that is not a text: write each between "…"`, key.Data)
		}
		if count++; count > limit {
			return r.fail(n, "%s has more than %d entries", key.Data, limit)
		}
		if err := take(n); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) path(n *unstable.Node) error {
	path := string(n.Data)
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return r.fail(n, "%q is not the full path of a program, such as /usr/bin/curl", path)
	}
	r.profile.Paths = append(r.profile.Paths, filepath.Clean(path))
	return nil
}

func (r *reader) rule(n *unstable.Node) error {
	rule, err := ParseRule(string(n.Data))
	line, column := r.place(n)
	if e, ok := errors.AsType[*SyntaxError](err); ok {
		if int(n.Raw.Length) == len(n.Data)+2 { // without escapes: the place inside is known
			column += e.Column
		}
		return &SyntaxError{File: r.profile.File, Line: line, Column: column, Msg: e.Msg}
	}
	rule.File, rule.Line = r.profile.File, line
	r.profile.Rules = append(r.profile.Rules, rule)
	return err
}
