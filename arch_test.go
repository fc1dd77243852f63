package safing_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Data flows down:
//
//	cmd, e2e → products → shared formats → tinker → kept cryptography
//
// Products never import each other: the consumer declares a small interface,
// and the program in cmd wires the other product in. Folders in internal are
// leaves that serve all of them and know none.
const (
	module    = "safing/"
	maxLines  = 400
	moduleDNS = "github.com/miekg/dns"
)

// A layer is one folder below the root and all below it.
type layer struct {
	mayImport []string // layers; its own it may always
	modules   []string // chosen modules besides the standard library, tests excepted; any if nil
}

var (
	products = []string{"portmaster", "port17", "stamp"}
	formats  = []string{"netmap", "feed", "profile"}

	cryptography = []string{"filippo.io/age", "github.com/cloudflare/circl", "golang.org/x/crypto", "golang.org/x/mod/sumdb/note"}
)

func layers() map[string]layer {
	everything := slices.Concat(products, formats, []string{"tinker", "internal", "cmd"})
	below := slices.Concat(formats, []string{"tinker", "internal"})
	l := map[string]layer{
		".":        {mayImport: everything},
		"e2e":      {mayImport: everything},
		"cmd":      {mayImport: slices.Concat(products, below)},
		"tinker":   {modules: cryptography},
		"internal": {mayImport: []string{"tinker"}},
	}
	for _, p := range products {
		l[p] = layer{mayImport: below}
	}
	for _, f := range formats {
		l[f] = layer{mayImport: []string{"tinker", "internal"}}
	}
	return l
}

// violation says in a sentence what is wrong with an import of a package that
// lies in folder dir, or returns "".
func violation(dir, imported string, test bool) string {
	top, _, _ := strings.Cut(dir, "/")
	rules, known := layers()[top]
	if !known {
		return fmt.Sprintf("the folder %s has no place in the import rules: say in arch_test.go what it may import", top)
	}
	ours, isOurs := strings.CutPrefix(imported, module)
	if !isOurs {
		switch {
		case test:
		case rules.modules != nil && !standard(imported) && !withinAny(imported, rules.modules):
			return fmt.Sprintf("%s may import the standard library, %s; not %s", top, strings.Join(rules.modules, ", "), imported)
		case within(imported, moduleDNS) && dir != "portmaster/resolver":
			return fmt.Sprintf("only portmaster/resolver imports %s", moduleDNS)
		}
		return ""
	}
	target, _, _ := strings.Cut(ours, "/")
	switch {
	case target == top && top != "cmd", slices.Contains(rules.mayImport, target):
		return ""
	case slices.Contains(products, top) && slices.Contains(products, target):
		return fmt.Sprintf("the product %s must not import the product %s: declare a small interface and let a program in cmd wire it", top, target)
	case slices.Contains(products, target):
		return fmt.Sprintf("%s must not import %s: it lies below the products", dir, imported)
	}
	return fmt.Sprintf("%s must not import %s: %s may import %s", dir, imported, top, orNothing(rules.mayImport))
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "nothing of ours"
	}
	return strings.Join(names, ", ")
}

// standard reports whether an import path is of the standard library: the
// paths of all others begin with a domain.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// within reports whether an import path lies in a module.
func within(imported, module string) bool {
	return imported == module || strings.HasPrefix(imported, module+"/")
}

func withinAny(imported string, modules []string) bool {
	return slices.ContainsFunc(modules, func(m string) bool { return within(imported, m) })
}

func TestImports(t *testing.T) {
	for _, f := range sources(t) {
		for _, i := range f.imports() {
			if v := violation(f.dir(), i, f.test()); v != "" {
				t.Errorf("%s: %s", f.path, v)
			}
		}
	}
}

func TestImportRules(t *testing.T) {
	tests := []struct {
		dir, imported string
		test          bool
		want          string // part of the sentence; empty: allowed
	}{
		{"cmd/portmaster", "safing/port17/client", false, ""},
		{"cmd/lab", "safing/cmd/portmaster", false, "cmd/lab must not import safing/cmd/portmaster"},
		{"portmaster/api", "safing/portmaster/history", false, ""},
		{"portmaster", "safing/profile", false, ""},
		{"portmaster", "safing/port17/client", false, "the product portmaster must not import the product port17"},
		{"stamp/site", "safing/portmaster", true, "the product stamp must not import the product portmaster"},
		{"port17/link", "safing/cmd/lab", false, "port17/link must not import safing/cmd/lab"},
		{"netmap", "safing/tinker", false, ""},
		{"netmap", "safing/port17/route", false, "it lies below the products"},
		{"feed", "safing/netmap", false, "feed may import tinker, internal"},
		{"tinker", "golang.org/x/crypto/chacha20poly1305", false, ""},
		{"tinker/token", "github.com/cloudflare/circl/blindsign/blindrsa", false, ""},
		{"tinker", "github.com/fxamacker/cbor/v2", false, "not github.com/fxamacker/cbor"},
		{"tinker", "pgregory.net/rapid", true, ""},
		{"tinker", "safing/netmap", true, "tinker may import nothing of ours"},
		{"internal/sse", "safing/stamp/site", false, "it lies below the products"},
		{"internal/sse", "safing/internal/webui", false, ""},
		{"portmaster/resolver", "github.com/miekg/dns", false, ""},
		{"portmaster/resolver", "github.com/miekg/dns/dnsutil", false, ""},
		{"portmaster", "github.com/miekg/dns", false, "only portmaster/resolver"},
		{"portmaster", "github.com/miekg/dns", true, ""},
		{"e2e", "safing/cmd/lab", true, ""},
		{"widgets", "fmt", false, "no place in the import rules"},
	}
	for _, test := range tests {
		got := violation(test.dir, test.imported, test.test)
		if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s imports %s (test: %v): got %q, want %q", test.dir, test.imported, test.test, got, test.want)
		}
	}
}

// A package is one noun that a user would say.
func TestPackageNames(t *testing.T) {
	empty := []string{"util", "utils", "common", "helper", "helpers", "base", "types", "manager", "misc", "shared"}
	for _, f := range sources(t) {
		name := strings.TrimSuffix(f.syntax.Name.Name, "_test")
		if slices.Contains(empty, name) || slices.Contains(empty, path.Base(f.dir())) {
			t.Errorf("%s: the package name %s says nothing: name it after what it holds", f.path, name)
		}
	}
}

func TestFileLength(t *testing.T) {
	for _, f := range sources(t) {
		if f.test() || f.generated() {
			continue
		}
		if f.lines > maxLines {
			t.Errorf("%s has %d lines, more than %d: divide it by what its parts are about", f.path, f.lines, maxLines)
		}
	}
}

// A source is one Go file, whatever system it is for.
type source struct {
	path   string // below the root, with slashes
	lines  int
	syntax *ast.File
}

func (s source) dir() string     { return path.Dir(s.path) }
func (s source) test() bool      { return strings.HasSuffix(s.path, "_test.go") }
func (s source) generated() bool { return ast.IsGenerated(s.syntax) }

func (s source) imports() []string {
	var paths []string
	for _, i := range s.syntax.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

var parseTree = sync.OnceValues(func() ([]source, error) {
	var all []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && notOurs(name) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		s, err := parse(name)
		all = append(all, s)
		return err
	})
	return all, err
})

// notOurs reports whether a folder holds no packages of this module.
func notOurs(name string) bool {
	base := filepath.Base(name)
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" {
		return true
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return err == nil
}

func parse(name string) (source, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return source{}, err
	}
	syntax, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
	return source{path: filepath.ToSlash(name), lines: bytes.Count(text, []byte("\n")), syntax: syntax}, err
}

// sources returns all Go files of this module.
func sources(t *testing.T) []source {
	t.Helper()
	all, err := parseTree()
	if err != nil {
		t.Fatal(err)
	}
	return all
}
