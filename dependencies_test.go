package safing_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const dependenciesFile = "docs/dependencies.md"

func TestDependenciesOfCode(t *testing.T) {
	rows := dependencyTable(t, "## Modules that our code imports")
	imported := importedModules(t)
	for _, m := range slices.Sorted(maps.Keys(imported)) {
		row, ok := rows[m]
		if !ok {
			t.Errorf("%s has no row for %s: say what it is for and what we would otherwise write", dependenciesFile, m)
			continue
		}
		if want := imported[m]; row["Where"] != want {
			t.Errorf("%s says that %s is for %s, but it is for %s", dependenciesFile, m, row["Where"], want)
		}
	}
	for _, m := range slices.Sorted(maps.Keys(rows)) {
		if _, ok := imported[m]; !ok {
			t.Errorf("%s has a row for %s, which our code does not import", dependenciesFile, m)
		}
	}
}

func TestDependenciesOfTools(t *testing.T) {
	rows := dependencyTable(t, "## Tools")
	used := toolModules(t)
	for _, m := range used {
		if _, ok := rows[m]; !ok {
			t.Errorf("%s has no row for the tool %s", dependenciesFile, m)
		}
	}
	for _, m := range slices.Sorted(maps.Keys(rows)) {
		if !slices.Contains(used, m) {
			t.Errorf("%s has a row for %s, which tools/go.mod does not run", dependenciesFile, m)
		}
	}
}

func TestDependencyLicences(t *testing.T) {
	for _, table := range []struct{ heading, dir string }{
		{"## Modules that our code imports", "."},
		{"## Tools", "tools"},
	} {
		rows := dependencyTable(t, table.heading)
		for path, dir := range moduleFolders(t, table.dir, slices.Sorted(maps.Keys(rows))) {
			texts := licenceTexts(t, dir)
			want := rows[path]["Licence"]
			if !slices.ContainsFunc(texts, func(text string) bool { return licenceName(text) == want }) {
				t.Errorf("%s says that %s is under %s, but its licence file does not", dependenciesFile, path, want)
			}
		}
	}
}

// Anyone may take our code on under MIT or Apache-2.0: so nothing that the
// programs link may ask for more than that.
func TestLinkedLicences(t *testing.T) {
	linked := map[string]string{}
	for _, goos := range []string{"linux", "darwin", "windows"} {
		maps.Copy(linked, linkedModules(t, goos))
	}
	if len(linked) == 0 {
		t.Fatal("go list names no module that the programs link")
	}
	for _, path := range slices.Sorted(maps.Keys(linked)) {
		texts := licenceTexts(t, linked[path])
		if len(texts) == 0 {
			t.Errorf("%s has no licence file, and a program links it", path)
		}
		if slices.ContainsFunc(texts, copyleft.MatchString) {
			t.Errorf("%s is under a GNU licence, and a program links it", path)
		}
	}
}

// copyleft matches the title of the GNU licences and the notice that invokes
// one. That another licence mentions them, as the MPL does, is no match.
var copyleft = regexp.MustCompile(`(?i)GNU\s+((LESSER|LIBRARY|AFFERO)\s+)?GENERAL\s+PUBLIC\s+LICENSE\s+Version\s+\d` +
	`|under\s+the\s+terms\s+of\s+the\s+GNU\s|SPDX-License-Identifier:\s*(A|L)?GPL`)

func TestCopyleft(t *testing.T) {
	tests := []struct {
		text string
		want bool
	}{
		{"                    GNU GENERAL PUBLIC LICENSE\n                       Version 3, 29 June 2007", true},
		{"GNU LESSER GENERAL PUBLIC LICENSE\nVersion 2.1, February 1999", true},
		{"GNU AFFERO GENERAL PUBLIC LICENSE\n   Version 3, 19 November 2007", true},
		{"you can redistribute it and/or modify\nit under the terms of the GNU General Public License", true},
		{"// SPDX-License-Identifier: GPL-2.0", true},
		{`"Secondary License" means either the GNU General Public License, Version 2.0`, false},
		{"Permission is hereby granted, free of charge", false},
	}
	for _, test := range tests {
		if got := copyleft.MatchString(test.text); got != test.want {
			t.Errorf("%q: got %v, want %v", test.text, got, test.want)
		}
	}
}

// licenceName recognises the licences that we use by a phrase of each.
func licenceName(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	for _, l := range []struct{ phrase, name string }{
		{"Apache License Version 2.0", "Apache-2.0"},
		{"Mozilla Public License Version 2.0", "MPL-2.0"},
		{"Mozilla Public License, version 2.0", "MPL-2.0"},
		{"Permission to use, copy, modify, and/or distribute this software", "ISC"},
		{"Permission to use, copy, modify, and distribute this software for any purpose with or without fee", "ISC"},
		{"Permission is hereby granted, free of charge, to any person", "MIT"},
	} {
		if strings.Contains(text, l.phrase) {
			return l.name
		}
	}
	switch {
	case !strings.Contains(text, "Redistribution and use in source and binary forms"):
		return ""
	case strings.Contains(text, "Neither the name"):
		return "BSD-3-Clause"
	}
	return "BSD-2-Clause"
}

// dependencyTable returns the rows of the table under a heading, by module:
// each is a map from the column's title to its cell.
func dependencyTable(t *testing.T, heading string) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(dependenciesFile)
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", dependenciesFile, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]map[string]string{}
	var titles []string
	for line := range strings.Lines(section) {
		cells := tableCells(line)
		switch {
		case len(cells) == 0 || strings.HasPrefix(cells[0], "-"):
		case titles == nil:
			titles = cells
		case len(cells) != len(titles) || slices.Contains(cells, ""):
			t.Errorf("%s: each row has %d filled cells, unlike %s", dependenciesFile, len(titles), line)
		default:
			row := map[string]string{}
			for i, c := range cells {
				row[titles[i]] = c
			}
			rows[strings.Trim(cells[0], "`")] = row
		}
	}
	return rows
}

func tableCells(line string) []string {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	cells := strings.Split(strings.Trim(line, "|"), "|")
	for i, c := range cells {
		cells[i] = strings.TrimSpace(c)
	}
	return cells
}

type goMod struct {
	Require []struct{ Path string }
	Tool    []struct{ Path string }
}

// module returns the path of the required module that has a package.
func (m goMod) module(imported string) string {
	var longest string
	for _, r := range m.Require {
		if within(imported, r.Path) && len(r.Path) > len(longest) {
			longest = r.Path
		}
	}
	return longest
}

func readGoMod(t *testing.T, dir string) goMod {
	t.Helper()
	var m goMod
	if err := json.Unmarshal(goCommand(t, dir, nil, "mod", "edit", "-json"), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// importedModules returns the modules that our code imports, with "programs"
// or "tests" for where.
func importedModules(t *testing.T) map[string]string {
	t.Helper()
	mod := readGoMod(t, ".")
	imported := map[string]string{}
	for _, f := range sources(t) {
		for _, i := range f.imports() {
			m := mod.module(i)
			switch {
			case m == "":
			case f.test():
				imported[m] = cmp.Or(imported[m], "tests")
			default:
				imported[m] = "programs"
			}
		}
	}
	return imported
}

func toolModules(t *testing.T) []string {
	t.Helper()
	mod := readGoMod(t, "tools")
	var modules []string
	for _, tool := range mod.Tool {
		modules = append(modules, mod.module(tool.Path))
	}
	return modules
}

type listedModule struct {
	Path, Dir string
	Main      bool
}

// moduleFolders returns where the module cache holds modules.
func moduleFolders(t *testing.T, dir string, paths []string) map[string]string {
	t.Helper()
	folders := map[string]string{}
	for _, m := range goList[listedModule](t, dir, nil, append([]string{"-m", "-json"}, paths...)...) {
		folders[m.Path] = m.Dir
	}
	return folders
}

// linkedModules returns the modules that the programs link on a system, with
// their folders.
func linkedModules(t *testing.T, goos string) map[string]string {
	t.Helper()
	type listed struct{ Module *listedModule }
	linked := map[string]string{}
	env := []string{"GOOS=" + goos, "CGO_ENABLED=0"}
	for _, p := range goList[listed](t, ".", env, "-e", "-deps", "-json=Module", "./cmd/...") {
		if p.Module != nil && !p.Module.Main {
			linked[p.Module.Path] = p.Module.Dir
		}
	}
	return linked
}

// goList runs go list and returns what it writes, one value for each JSON object.
func goList[T any](t *testing.T, dir string, env []string, args ...string) []T {
	t.Helper()
	var all []T
	d := json.NewDecoder(bytes.NewReader(goCommand(t, dir, env, append([]string{"list"}, args...)...)))
	for {
		var v T
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
}

func goCommand(t *testing.T, dir string, env []string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), env...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, complaint.Bytes())
	}
	return out
}

// licenceTexts returns the licence files of a module.
func licenceTexts(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, e := range entries {
		if e.IsDir() || !licenceFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

var licenceFile = regexp.MustCompile(`(?i)^(un)?licen[cs]e|^copying`)
