package token

import (
	"context"
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

// errDisk is what a faulty disk says.
var errDisk = errors.New("the disk is on fire")

// A faultyDisk does not wait for the real one, and fails when told to.
type faultyDisk struct {
	failWrite, failSync atomic.Bool
	writes, syncs       atomic.Int64
	beforeSync          func()
}

func (d *faultyDisk) disk() disk {
	return disk{
		write: func(f *os.File, b []byte, offset int64) (int, error) {
			d.writes.Add(1)
			if d.failWrite.Load() {
				n, err := f.WriteAt(b[:len(b)/2], offset) // as a full disk does
				return n, errors.Join(errDisk, err)
			}
			return f.WriteAt(b, offset)
		},
		sync: func(*os.File) error {
			d.syncs.Add(1)
			if d.beforeSync != nil {
				d.beforeSync()
			}
			if d.failSync.Load() {
				return errDisk
			}
			return nil
		},
	}
}

func openFaulty(t testing.TB, d *faultyDisk) *Spent {
	t.Helper()
	return openOn(t, t.TempDir(), d)
}

func openOn(t testing.TB, dir string, d *faultyDisk) *Spent {
	t.Helper()
	s, err := openSpent(dir, SpentConfig{Limit: DefaultSpentLimit, Queue: DefaultSpentQueue}, d.disk())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) //nolint:errcheck // it may be broken
	return s
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

// While one batch is on its way to the disk, all further calls share the next.
func TestSpendSharesSync(t *testing.T) {
	inSync, goOn := make(chan struct{}), make(chan struct{})
	d := &faultyDisk{}
	s := openFaulty(t, d)
	if err := s.Spend(t.Context(), 1, testKey(0)); err != nil { // makes the file
		t.Fatal(err)
	}
	d.beforeSync = func() {
		inSync <- struct{}{}
		<-goOn
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Spend(t.Context(), 1, testKey(1)); err != nil {
			t.Error(err)
		}
	})
	<-inSync
	before := d.syncs.Load()
	const n = 100
	for i := range n {
		wg.Go(func() {
			if err := s.Spend(t.Context(), 1, testKey(2+i)); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(s, func() bool { return len(s.queue.entries) == n })
	goOn <- struct{}{}
	<-inSync
	goOn <- struct{}{}
	wg.Wait()
	if got := d.syncs.Load() - before; got != 1 {
		t.Errorf("%d calls had %d syncs, want 1", n, got)
	}
	d.beforeSync = nil
}

// waitFor waits until something is so, as the set's mutex guards it.
func waitFor(s *Spent, so func() bool) {
	for done := false; !done; {
		s.mu.Lock()
		done = so()
		s.mu.Unlock()
	}
}

func TestSpendQueueAndContext(t *testing.T) {
	inSync, goOn := make(chan struct{}), make(chan struct{})
	d := &faultyDisk{}
	s := openFaulty(t, d)
	s.config.Queue = 2
	if err := s.Spend(t.Context(), 1, testKey(0)); err != nil {
		t.Fatal(err)
	}
	d.beforeSync = func() {
		inSync <- struct{}{}
		<-goOn
	}
	var wg sync.WaitGroup
	spend := func(n int, ctx context.Context, want error) {
		wg.Go(func() {
			if err := s.Spend(ctx, 1, testKey(n)); !errors.Is(err, want) {
				t.Errorf("key %d: got %v, want %v", n, err, want)
			}
		})
	}
	spend(1, t.Context(), nil)
	<-inSync
	given, giveUp := context.WithCancel(t.Context())
	spend(2, given, context.Canceled)
	spend(3, t.Context(), nil)
	waitFor(s, func() bool { return len(s.queue.entries) == 2 })
	if err := s.Spend(t.Context(), 1, testKey(4)); !errors.Is(err, ErrBusy) {
		t.Errorf("with a full queue: %v", err)
	}
	giveUp()
	if err := s.Spend(given, 1, testKey(5)); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	goOn <- struct{}{}
	<-inSync
	goOn <- struct{}{}
	wg.Wait()
	d.beforeSync = nil
	// Who gave up has spent the token all the same; who never queued has not.
	for n, want := range map[int]error{2: ErrSpent, 4: nil, 5: nil} {
		if err := s.Spend(t.Context(), 1, testKey(n)); !errors.Is(err, want) {
			t.Errorf("key %d afterwards: got %v, want %v", n, err, want)
		}
	}
}

// After an error nothing is taken any more, whatever the disk says then.
func TestSpendOnFaultyDisk(t *testing.T) {
	for _, fault := range []func(*faultyDisk, bool){
		func(d *faultyDisk, on bool) { d.failWrite.Store(on) },
		func(d *faultyDisk, on bool) { d.failSync.Store(on) },
	} {
		for _, fresh := range []bool{true, false} {
			dir := t.TempDir()
			d := &faultyDisk{}
			s := openOn(t, dir, d)
			if !fresh {
				if err := s.Spend(t.Context(), 1, testKey(0)); err != nil {
					t.Fatal(err)
				}
			}
			fault(d, true)
			if err := s.Spend(t.Context(), 1, testKey(1)); !errors.Is(err, errDisk) {
				t.Errorf("with the fault: %v", err)
			}
			fault(d, false)
			for range 2 {
				for i, err := range []error{
					s.Spend(t.Context(), 1, testKey(1)),
					s.Spend(t.Context(), 2, testKey(2)),
					s.Forget(t.Context(), 1),
				} {
					if !errors.Is(err, errDisk) {
						t.Errorf("call %d after the fault: %v", i, err)
					}
				}
			}
			mustClose(t, s)
			s = openOn(t, dir, d)
			if err := s.Spend(t.Context(), 1, testKey(0)); errors.Is(err, ErrSpent) == fresh {
				t.Errorf("after it was opened again, what was spent before: %v", err)
			}
			if err := s.Spend(t.Context(), 1, testKey(3)); err != nil {
				t.Errorf("after it was opened again: %v", err)
			}
		}
	}
}

func TestForgetOnFaultyDisk(t *testing.T) {
	dir := t.TempDir()
	d := &faultyDisk{}
	s := openOn(t, dir, d)
	if err := s.Spend(t.Context(), 1, testKey(0)); err != nil {
		t.Fatal(err)
	}
	d.failSync.Store(true)
	if err := s.Forget(t.Context(), 2); !errors.Is(err, errDisk) {
		t.Errorf("got %v", err)
	}
	mustClose(t, s)
	d.failSync.Store(false)
	s = openOn(t, dir, d)
	if err := s.Spend(t.Context(), 1, testKey(0)); !errors.Is(err, ErrSpent) {
		t.Errorf("a token of an epoch that could not be forgotten: %v", err)
	}
}
