package safing_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A package says what it is for before anyone reads its code.
func TestPackageDocs(t *testing.T) {
	packages := map[string]bool{} // folder to: has a doc comment
	for _, f := range sources(t) {
		if f.test() {
			continue
		}
		packages[f.dir()] = packages[f.dir()] || documentsPackage(f.syntax)
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		if !packages[dir] {
			t.Errorf("%s has no package comment: add a doc.go that says what it is for, how to use it, who may call what concurrently, and what it does not do", dir)
		}
	}
}

// documentsPackage reports whether a file has the comment that go doc shows.
func documentsPackage(f *ast.File) bool {
	text := f.Doc.Text()
	if f.Name.Name == "main" {
		return text != ""
	}
	return strings.HasPrefix(text, "Package "+f.Name.Name+" ")
}

func TestExportedDocs(t *testing.T) {
	for _, f := range sources(t) {
		// Nobody imports a program or a test.
		if f.test() || f.generated() || f.syntax.Name.Name == "main" {
			continue
		}
		for _, name := range undocumented(f.syntax) {
			t.Errorf("%s: %s is exported and has no comment", f.path, name)
		}
	}
}

// plain are the methods that every reader knows: a comment that repeats what
// error, fmt.Stringer and their like promise helps nobody.
var plain = []string{
	"Error", "Unwrap", "Is", "String", "GoString", "LogValue",
	"MarshalText", "UnmarshalText", "MarshalJSON", "UnmarshalJSON", "MarshalBinary", "UnmarshalBinary",
}

// undocumented lists the exported identifiers of a file without a comment. In
// a group of constants or variables, the comment of the group serves all.
func undocumented(f *ast.File) []string {
	var names []string
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if name, ok := exportedFunc(d); ok && d.Doc == nil {
				names = append(names, name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				names = append(names, undocumentedSpec(d, s)...)
			}
		}
	}
	return names
}

// exportedFunc names a function or method that users of the package can call
// and that needs an explanation.
func exportedFunc(d *ast.FuncDecl) (string, bool) {
	if d.Recv == nil {
		return d.Name.Name, d.Name.IsExported()
	}
	of := receiver(d.Recv.List[0].Type)
	name := fmt.Sprintf("%s.%s", of, d.Name.Name)
	return name, d.Name.IsExported() && ast.IsExported(of) && !slices.Contains(plain, d.Name.Name)
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func undocumentedSpec(d *ast.GenDecl, s ast.Spec) []string {
	var names []string
	switch s := s.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() && s.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
			names = append(names, s.Name.Name)
		}
	case *ast.ValueSpec:
		if s.Doc != nil || s.Comment != nil || d.Doc != nil {
			return nil
		}
		for _, n := range s.Names {
			if n.IsExported() {
				names = append(names, n.Name)
			}
		}
	}
	return names
}

func TestUndocumented(t *testing.T) {
	const text = `// Package p is an example.
package p

// A Known is documented.
type Known struct{}

type Unknown struct{}

// A group serves all.
const (
	A = 1
	B = 2
)

var (
	C = 3 // at the end of the line
	D = 4
	e = 5
)

func (Known) Bare() {}
func (*Known) String() string { return "" }
func (u unseen) Hidden() {}
func Free() {}
func private() {}
`
	f, err := parser.ParseFile(token.NewFileSet(), "p.go", text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if !documentsPackage(f) {
		t.Error("the package comment was not found")
	}
	want := []string{"Unknown", "D", "Known.Bare", "Free"}
	if got := undocumented(f); !slices.Equal(got, want) {
		t.Errorf("undocumented: got %v, want %v", got, want)
	}
}
