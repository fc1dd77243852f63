package main

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"safing/netmap"
)

const (
	units   = "../../packaging/systemd/port17-*.service"
	example = "../../packaging/port17/node.toml"
)

// mostExposed is how exposed the unit may be, in tenths, as systemd counts.
const mostExposed = "15"

// systemd understands the whole of each unit, and finds it well shut off.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	paths, err := filepath.Glob(units)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no units at %s: %v", units, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) { checkUnit(t, analyze, path) })
	}
}

func checkUnit(t *testing.T, analyze, unit string) {
	b, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The program has to be where the unit says.
	copied := filepath.Join(t.TempDir(), filepath.Base(unit))
	if err := os.WriteFile(copied, []byte(strings.ReplaceAll(string(b), "/usr/bin/port17", self)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"verify", "--man=no", copied},
		{"security", "--offline=true", "--no-pager", "--threshold=" + mostExposed, copied},
	} {
		out, err := exec.CommandContext(t.Context(), analyze, args...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}

// The example is one that the program takes, and is short.
func TestExampleSettings(t *testing.T) {
	values, err := readSettings(example)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(values); n < 5 || n > 10 {
		t.Errorf("it has %d settings, want ten at most", n)
	}
	for _, name := range []string{"network", "listen", "name", "owner"} {
		if values[name] == nil {
			t.Errorf("it does not set %s", name)
		}
	}
}

// The manual explains every option of the client, with its default.
func TestClientManual(t *testing.T) {
	b, err := os.ReadFile("../../docs/client.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[clientCommand]()) {
		if f.Anonymous {
			continue
		}
		row := "| `--" + cmp.Or(f.Tag.Get("name"), strings.ToLower(f.Name)) + "` | "
		if value, ok := f.Tag.Lookup("default"); ok {
			row += "`" + value + "` |"
		}
		if !strings.Contains(string(b), row) {
			t.Errorf("docs/client.md has no row that begins with %q", row)
		}
	}
}

// The manual explains every setting and every preset.
func TestManual(t *testing.T) {
	b, err := os.ReadFile("../../docs/node.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, from := range []reflect.Type{reflect.TypeFor[nodeOptions](), reflect.TypeFor[geoFiles](), reflect.TypeFor[passphraseFile]()} {
		for i := range from.NumField() {
			if name, ok := from.Field(i).Tag.Lookup("toml"); ok {
				names = append(names, name)
			} else if !from.Field(i).Anonymous {
				t.Errorf("the option %s can't be set in a file", from.Field(i).Name)
			}
		}
	}
	for _, p := range netmap.ExitPresets() {
		names = append(names, p.Name)
	}
	for _, name := range names {
		if !strings.Contains(string(b), "`"+name+"`") {
			t.Errorf("docs/node.md does not explain %s", name)
		}
	}
}
