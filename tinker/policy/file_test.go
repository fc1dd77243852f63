package policy

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"safing/tinker"
)

// A crash before the renaming leaves a second file, whole or in part. The old
// policy counts, and the new one is taken when it comes again.
func TestCrashBeforeRename(t *testing.T) {
	n := newNetwork(t)
	n.update(t, newPolicy(5, "TK1 preferred"))
	next := n.sign(t, newPolicy(6, "TK2 preferred, TK1 forbidden"))
	for _, written := range []int{0, 1, len(next) / 2, len(next)} {
		beside := n.config.Path + ".new"
		if err := os.WriteFile(beside, next[:written], 0o600); err != nil {
			t.Fatal(err)
		}
		n.restart(t)
		if v := n.Newest().Version; v != 5 {
			t.Fatalf("with %d bytes written, version %d counts", written, v)
		}
	}
	if err := n.Update(next); err != nil {
		t.Fatal(err)
	}
	n.restart(t)
	n.wantCheck(t, tk1, ErrForbidden)
	if files, err := os.ReadDir(filepath.Dir(n.config.Path)); len(files) != 1 || err != nil {
		t.Errorf("files %v, %v", files, err)
	}
}

// A policy that can't be written doesn't count, lest a restart undo it.
func TestPolicyThatCannotBeWritten(t *testing.T) {
	n := newNetwork(t)
	next := n.sign(t, newPolicy(1, "TK1 preferred"))
	if err := os.MkdirAll(filepath.Join(n.config.Path, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := n.Update(next); err == nil || n.Newest().Version != 0 {
		t.Errorf("version %d counts, %v", n.Newest().Version, err)
	}
	n.wantCheck(t, tk1, ErrExpired)
	if _, err := os.Stat(n.config.Path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the second file is left: %v", err)
	}
	if err := os.RemoveAll(n.config.Path); err != nil {
		t.Fatal(err)
	}
	if err := n.Update(next); err != nil {
		t.Error(err)
	}
	n.wantCheck(t, tk1, nil)
}

// Whatever part of the file is lost or changed, nothing becomes usable by it.
func TestDamagedFile(t *testing.T) {
	n := newNetwork(t)
	n.config.Floor.Default, n.config.Floor.DefaultUntil = []tinker.SuiteID{tk1}, start.Add(day)
	n.restart(t)
	n.update(t, newPolicy(5, "TK2 preferred, TK1 forbidden"))
	whole, err := os.ReadFile(n.config.Path)
	if err != nil {
		t.Fatal(err)
	}
	load := func(what string, i int, b []byte) {
		t.Helper()
		if err := os.WriteFile(n.config.Path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		ps, err := Load(n.config)
		if err != nil {
			if !strings.Contains(err.Error(), "is damaged") {
				t.Errorf("%s %d: %v", what, i, err)
			}
			return
		}
		if ps.Check(tk1) == nil {
			t.Errorf("%s %d: TK1 may be used", what, i)
		}
		if err := ps.Update(n.sign(t, newPolicy(4, "TK1 preferred"))); !errors.Is(err, ErrRollback) {
			t.Errorf("%s %d: replay: %v", what, i, err)
		}
	}
	for i := range whole {
		load("first bytes", i, whole[:i])
		flipped := bytes.Clone(whole)
		flipped[i] ^= 1
		load("flipped byte", i, flipped)
	}
	load("too long", 0, append(bytes.Repeat([]byte("a"), maxSigned), whole...))
}

// A new build with other keys doesn't believe what the old one saw. It takes
// nothing older all the same, and its default doesn't come back.
func TestNewKeys(t *testing.T) {
	n := newNetwork(t)
	n.config.Floor.Default, n.config.Floor.DefaultUntil = []tinker.SuiteID{tk1}, start.Add(day)
	n.restart(t)
	p := newPolicy(5, "TK2 preferred, TK1 forbidden")
	n.update(t, p)
	n.authority = newAuthority(t, "lab.example", 2)
	n.config.Floor.Verifiers = []note.Verifier{n.Verifier}
	n.restart(t)
	n.wantCheck(t, tk1, ErrExpired)
	n.wantCheck(t, tk2, ErrExpired)
	n.wantCheck(t, tk9, ErrForbidden)
	if _, err := n.Best([]tinker.SuiteID{tk1, tk2}); !errors.Is(err, ErrExpired) {
		t.Errorf("best: %v", err)
	}
	if err := n.Update(n.sign(t, newPolicy(4, "TK1 preferred"))); !errors.Is(err, ErrRollback) {
		t.Errorf("replay: %v", err)
	}
	if err := n.Update(n.sign(t, newPolicy(5, "TK1 preferred"))); !errors.Is(err, ErrEquivocation) {
		t.Errorf("other text: %v", err)
	}
	n.update(t, p) // signed again with the new key
	for range 2 {
		n.wantCheck(t, tk1, ErrForbidden)
		n.wantCheck(t, tk2, nil)
		n.restart(t)
	}
}

func TestNewFloor(t *testing.T) {
	tests := []struct {
		name    string
		change  func(*Floor)
		version uint64
		tk1     error
		tk2     error
	}{
		{"the same", func(*Floor) {}, 5, ErrForbidden, nil},
		{"forbids what was forbidden", func(f *Floor) { f.Forbidden = []tinker.SuiteID{tk1} }, 5, ErrForbidden, nil},
		{"forbids what was allowed", func(f *Floor) { f.Forbidden = []tinker.SuiteID{tk2} }, 5, ErrExpired, ErrForbidden},
		{"at the version seen", func(f *Floor) { f.Version = 5 }, 5, ErrForbidden, nil},
		// Its default is newer than what was seen.
		{"above the version seen", func(f *Floor) {
			f.Version, f.Default, f.DefaultUntil = 6, []tinker.SuiteID{tk1}, start.Add(day)
		}, 0, nil, ErrNotListed},
		{"below the version seen, with a default", func(f *Floor) {
			f.Version, f.Default, f.DefaultUntil = 4, []tinker.SuiteID{tk1}, start.Add(day)
		}, 5, ErrForbidden, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := newNetwork(t)
			n.update(t, newPolicy(5, "TK2 preferred, TK1 forbidden"))
			test.change(&n.config.Floor)
			n.restart(t)
			if v := n.Newest().Version; v != test.version {
				t.Errorf("version %d counts, want %d", v, test.version)
			}
			n.wantCheck(t, tk1, test.tk1)
			n.wantCheck(t, tk2, test.tk2)
		})
	}
}

func TestFileOfOtherNetwork(t *testing.T) {
	n := newNetwork(t)
	n.update(t, newPolicy(5, "TK2 preferred"))
	n.config.Floor.Network = "other.example"
	if _, err := Load(n.config); err == nil || !strings.Contains(err.Error(), "give each network a file of its own") {
		t.Error(err)
	}
}
