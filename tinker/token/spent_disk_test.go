package token

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

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
