package ui_test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"safing/portmaster/history"
)

// TestTypesFollowGo holds the page's types to the Go types whose JSON it
// reads.
func TestTypesFollowGo(t *testing.T) {
	const file = "src/types.ts"
	var b strings.Builder
	b.WriteString("// Made from the Go types by types_test.go; do not edit.\n")
	for _, v := range []any{
		history.App{},
		history.Process{},
		history.Destination{},
		history.Hop{},
		history.Connection{},
		history.Counter{},
		history.Delta{},
	} {
		declare(&b, reflect.TypeOf(v))
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Errorf("%s does not match the Go types: run `go test ./portmaster/ui -update`", file)
	}
}

var update = flag.Bool("update", false, "write what the tests expect")

func declare(b *strings.Builder, t reflect.Type) {
	fmt.Fprintf(b, "\nexport interface %s {\n", t.Name())
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fmt.Fprintf(b, "  %s: %s;\n", name, typeScript(f.Type))
	}
	b.WriteString("}\n")
}

func typeScript(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time](), t == reflect.TypeFor[netip.Addr]():
		return "string"
	case t.Kind() == reflect.Pointer:
		return typeScript(t.Elem()) + " | null"
	case t.Kind() == reflect.Slice:
		return typeScript(t.Elem()) + "[]"
	case t.Kind() == reflect.Struct:
		return t.Name()
	case t.Kind() == reflect.String:
		return "string"
	case t.Kind() == reflect.Bool:
		return "boolean"
	default:
		return "number"
	}
}
