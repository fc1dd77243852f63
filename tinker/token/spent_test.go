package token

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func mustOpen(t testing.TB, dir string, c SpentConfig) *Spent {
	t.Helper()
	s, err := OpenSpent(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) //nolint:errcheck // where it matters, the test closes it
	return s
}

func mustClose(t testing.TB, s *Spent) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// testKey makes the nth key.
func testKey(n int) (key [32]byte) {
	binary.BigEndian.PutUint64(key[24:], uint64(n))
	return key
}

func TestSpend(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spent")
	s := mustOpen(t, dir, SpentConfig{})
	for i := range 10 {
		if err := s.Spend(t.Context(), uint64(i%2), testKey(i)); err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		t.Helper()
		for i := range 10 {
			if err := s.Spend(t.Context(), uint64(i%2), testKey(i)); !errors.Is(err, ErrSpent) {
				t.Errorf("key %d again: %v", i, err)
			}
		}
		if s.Len() != 10 {
			t.Errorf("the set has %d keys, want 10", s.Len())
		}
	}
	check()
	for range 3 {
		mustClose(t, s)
		s = mustOpen(t, dir, SpentConfig{})
		check()
	}
	mustClose(t, s)
	mustClose(t, s)
	if err := s.Spend(t.Context(), 1, testKey(99)); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := s.Forget(t.Context(), 1); !errors.Is(err, ErrClosed) {
		t.Errorf("Forget after Close: %v", err)
	}
}

func TestSpentLimits(t *testing.T) {
	s := mustOpen(t, t.TempDir(), SpentConfig{Limit: 3})
	for i := range 3 {
		if err := s.Spend(t.Context(), 1, testKey(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Spend(t.Context(), 1, testKey(3)); !errors.Is(err, ErrFull) {
		t.Errorf("over the limit: %v", err)
	}
	if err := s.Spend(t.Context(), 1, testKey(0)); !errors.Is(err, ErrSpent) {
		t.Errorf("a spent token in a full set: %v", err)
	}
	if err := s.Forget(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := s.Spend(t.Context(), 2, testKey(3)); err != nil {
		t.Errorf("after Forget: %v", err)
	}

	many := openFaulty(t, &faultyDisk{})
	for i := range maxEpochs {
		if err := many.Spend(t.Context(), uint64(i), testKey(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := many.Spend(t.Context(), maxEpochs, testKey(0)); !errors.Is(err, ErrFull) {
		t.Errorf("epoch number %d: %v", maxEpochs+1, err)
	}
}

func TestForget(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, SpentConfig{})
	for i := range 6 {
		if err := s.Spend(t.Context(), uint64(i), testKey(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, before := range []uint64{4, 2, 4} {
		if err := s.Forget(t.Context(), before); err != nil {
			t.Fatal(err)
		}
	}
	check := func() {
		t.Helper()
		for i := range 6 {
			want := ErrSpent
			if i < 4 {
				want = ErrEpochOver
			}
			if err := s.Spend(t.Context(), uint64(i), testKey(i)); !errors.Is(err, want) {
				t.Errorf("token of epoch %d: %v, want %v", i, err, want)
			}
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"+spentSuffix))
		if err != nil || len(files) != 2 || s.Len() != 2 {
			t.Errorf("%d keys in %v", s.Len(), files)
		}
	}
	check()
	mustClose(t, s)
	// A file that a crash kept from being deleted, and one that was being made.
	for _, name := range []string{epochPath(dir, 3), epochPath(dir, 9) + newSuffix} {
		if err := os.WriteFile(name, header(epochMagic, 3), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = mustOpen(t, dir, SpentConfig{})
	check()
}

func TestSpentIsLocked(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, SpentConfig{})
	if _, err := OpenSpent(dir, SpentConfig{}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opened twice: %v", err)
	}
	mustClose(t, s)
	mustClose(t, mustOpen(t, dir, SpentConfig{}))
}

func TestOpenSpentRefuses(t *testing.T) {
	if _, err := OpenSpent(filepath.Join(t.TempDir(), "no", "such"), SpentConfig{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder in no folder: %v", err)
	}
	for name, content := range map[string][]byte{
		"floor":                       header(epochMagic, 1),
		"floor ":                      nil,
		"7.spent":                     header(epochMagic, 7),
		"000000000000000g.spent":      header(epochMagic, 7),
		"0000000000000007.spent":      header(epochMagic, 8),
		"0000000000000008.spent":      nil,
		"0000000000000009.spent":      header(epochMagic, 9)[:39],
		"000000000000000A.spent":      header(epochMagic, 10),
		"+00000000000000b.spent":      header(epochMagic, 11),
		"0000000000000000c.spent":     header(epochMagic, 12),
		"00000000 copy 000000d.spent": header(epochMagic, 13),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := OpenSpent(dir, SpentConfig{})
		if name == "floor " { // not ours
			if err != nil {
				t.Errorf("with a file that is not ours: %v", err)
			}
			mustClose(t, s)
			continue
		}
		if err == nil {
			mustClose(t, s)
			t.Errorf("opened with a %q of %d bytes", name, len(content))
		}
	}
}

// Close seals the files, so that damage to the last record is found too.
func TestCloseSeals(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, SpentConfig{})
	for i := range 3 {
		if err := s.Spend(t.Context(), 1, testKey(i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time there is nothing to seal anew
		mustClose(t, s)
		content, err := os.ReadFile(epochPath(dir, 1))
		if err != nil {
			t.Fatal(err)
		}
		if want := recordSize * (1 + 3 + 1); len(content) != want {
			t.Fatalf("the file has %d bytes, want %d", len(content), want)
		}
		s = mustOpen(t, dir, SpentConfig{})
	}
	mustClose(t, s)
	content, err := os.ReadFile(epochPath(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	content[recordSize*3+5] ^= 1 // the last key
	if err := os.WriteFile(epochPath(dir, 1), content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSpent(dir, SpentConfig{}); err == nil || !strings.Contains(err.Error(), "damaged at byte 120") {
		t.Errorf("opened with the last key changed: %v", err)
	}
}

// Of many calls with one key, one succeeds.
func TestSpendAtOnce(t *testing.T) {
	s := mustOpen(t, t.TempDir(), SpentConfig{})
	const keys, callers = 50, 8
	var taken [keys]atomic.Int32
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := range keys {
				switch err := s.Spend(t.Context(), 1, testKey(i)); {
				case err == nil:
					taken[i].Add(1)
				case !errors.Is(err, ErrSpent):
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i := range taken {
		if n := taken[i].Load(); n != 1 {
			t.Errorf("key %d was spent %d times", i, n)
		}
	}
}
