package token

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// writeSpent returns the file of a set into which keys were spent in batches of
// the given sizes.
func writeSpent(t *testing.T, seal bool, batches ...int) []byte {
	t.Helper()
	dir := t.TempDir()
	d := (&faultyDisk{}).disk()
	e := &epoch{number: 1}
	n := 0
	for _, size := range batches {
		for range size {
			e.waiting = append(e.waiting, testKey(n))
			n++
		}
		if err := e.write(dir, d); err != nil {
			t.Fatal(err)
		}
	}
	if seal {
		if err := e.seal(d); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.file.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(epochPath(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// openContent opens a set that has this file, and returns how many of the keys
// from 0 on it has.
func openContent(t *testing.T, content []byte) (int, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(epochPath(dir, 1), content, 0o600); err != nil {
		t.Fatal(err)
	}
	d := &faultyDisk{}
	s, err := openSpent(dir, SpentConfig{Limit: 1000, Queue: 1000}, d.disk())
	if err != nil {
		return 0, err
	}
	n := s.Len()
	for i := range n {
		if !s.epochs[1].has(testKey(i)) {
			t.Fatalf("of %d keys, key %d is not there", n, i)
		}
	}
	// What is spent now must be found behind whatever was cut off.
	if err := s.Spend(t.Context(), 1, testKey(500)); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	s = openOn(t, dir, d)
	if s.Len() != n+1 || !s.epochs[1].has(testKey(500)) {
		t.Fatalf("after a token more and another start there are %d keys, want %d", s.Len(), n+1)
	}
	mustClose(t, s)
	return n, nil
}

// A file may end at any byte.
func TestTruncated(t *testing.T) {
	content := writeSpent(t, true, 1, 3, 1, 4)
	for size := range len(content) + 1 {
		got, err := openContent(t, content[:size])
		if size < recordSize {
			if err == nil || !strings.Contains(err.Error(), "damaged at byte 0") {
				t.Errorf("cut to %d bytes: %v", size, err)
			}
			continue
		}
		if want := min(size/recordSize-1, 9); err != nil || got != want {
			t.Errorf("cut to %d bytes: %d keys, %v; want %d", size, got, err, want)
		}
	}
}

// In a sealed file any damage is found. Only the seal itself may be lost, as
// then nothing is.
func TestDamageSealed(t *testing.T) {
	content := writeSpent(t, true, 1, 3, 1, 4)
	for at := range content {
		changed := bytes.Clone(content)
		changed[at] ^= 0x10
		got, err := openContent(t, changed)
		if at >= len(content)-recordSize {
			if err != nil || got != 9 {
				t.Errorf("byte %d, of the seal, changed: %d keys, %v", at, got, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "damaged at byte") {
			t.Errorf("byte %d changed: %d keys, %v", at, got, err)
		}
	}
}

// Without a seal, damage is found before the last batch. In the last batch it
// looks just like a write that was torn.
func TestDamageUnsealed(t *testing.T) {
	content := writeSpent(t, false, 1, 3, 1, 4)
	for at := range content {
		changed := bytes.Clone(content)
		changed[at] ^= 0x10
		got, err := openContent(t, changed)
		if last := recordSize * (1 + 5); at >= last {
			if want := at/recordSize - 1; err != nil || got != want {
				t.Errorf("byte %d, of the last batch, changed: %d keys, %v; want %d", at, got, err, want)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "damaged at byte") {
			t.Errorf("byte %d changed: %d keys, %v", at, got, err)
		}
	}
}

// A record is good in its own place only.
func TestDamageMoved(t *testing.T) {
	content := writeSpent(t, true, 1, 3, 1, 4)
	records := slices.Collect(slices.Chunk(content, recordSize))
	for i := 1; i < len(records)-1; i++ {
		swapped := slices.Clone(records)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		if n, err := openContent(t, slices.Concat(swapped...)); err == nil && i < len(records)-2 {
			t.Errorf("records %d and %d swapped: %d keys", i-1, i, n)
		}
		removed := slices.Delete(slices.Clone(records), i, i+1)
		if n, err := openContent(t, slices.Concat(removed...)); err == nil && n != i-1 {
			t.Errorf("record %d removed: %d keys", i-1, n)
		}
	}
}

// A lossyDisk has what was synced. Of what was written since, a power cut leaves
// any sectors; so does a sync that fails, and later ones do not make up for it.
// The files themselves are what the kernel has in memory.
type lossyDisk struct {
	random *rand.Rand
	sector int // bytes that are written as a whole

	mu      sync.Mutex
	durable map[string][]byte
	written map[string][]write
	syncs   int // until nothing works any more
}

type write struct {
	offset int
	data   []byte
}

func newLossyDisk(dir string, random *rand.Rand) *lossyDisk {
	d := &lossyDisk{
		random:  random,
		sector:  []int{16, recordSize, 512}[random.IntN(3)],
		durable: map[string][]byte{},
		written: map[string][]write{},
	}
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, n := range names {
		d.durable[n], _ = os.ReadFile(n)
	}
	return d
}

func (d *lossyDisk) disk() disk {
	return disk{
		write: func(f *os.File, b []byte, offset int64) (int, error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.syncs <= 0 {
				return 0, errDisk
			}
			name := strings.TrimSuffix(f.Name(), newSuffix)
			d.written[name] = append(d.written[name], write{int(offset), bytes.Clone(b)})
			return f.WriteAt(b, offset)
		},
		sync: func(f *os.File) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			name := strings.TrimSuffix(f.Name(), newSuffix)
			if d.syncs--; d.syncs <= 0 {
				d.loseLocked(name)
				return errDisk
			}
			for _, w := range d.written[name] {
				d.durable[name] = put(d.durable[name], w)
			}
			delete(d.written, name)
			info, err := f.Stat() // the file may have been cut
			if err != nil {
				return err
			}
			d.durable[name] = put(d.durable[name], write{offset: int(info.Size())})[:info.Size()]
			return nil
		},
	}
}

// put writes into content, which grows with zeros up to the offset.
func put(content []byte, w write) []byte {
	if grow := w.offset + len(w.data) - len(content); grow > 0 {
		content = append(content, make([]byte, grow)...)
	}
	copy(content[w.offset:], w.data)
	return content
}

// loseLocked leaves any sectors of what was written to a file since its last
// sync.
func (d *lossyDisk) loseLocked(name string) {
	for _, w := range d.written[name] {
		for at, data := w.offset, w.data; len(data) > 0; {
			n := min(d.sector-at%d.sector, len(data))
			if d.random.IntN(2) == 0 {
				d.durable[name] = put(d.durable[name], write{at, data[:n]})
			}
			at, data = at+n, data[n:]
		}
	}
	delete(d.written, name)
}

// cut writes what the disk has after a power cut into a folder.
func (d *lossyDisk) cut(t *testing.T, dir string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.durable {
		d.loseLocked(name)
		if _, err := os.Stat(name); err != nil {
			continue // it was never given its name
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(name)), d.durable[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// No acknowledged token is lost with the power, and what a torn write left is
// never taken for damage. Between power cuts the process alone may die, and the
// next one finds in memory what is not on the disk.
func TestPowerCut(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	spent := map[int]bool{}
	next := 0
	dir := t.TempDir()
	d := newLossyDisk(dir, random)
	for round := range 200 {
		d.syncs = 1 + random.IntN(12)
		s, err := openSpent(dir, SpentConfig{Limit: DefaultSpentLimit, Queue: DefaultSpentQueue}, d.disk())
		if err != nil && !errors.Is(err, errDisk) {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		if err == nil {
			for n := range spent {
				if err := s.Spend(t.Context(), testEpoch(n), testKey(n)); !errors.Is(err, ErrSpent) {
					t.Fatalf("seed %d, round %d: key %d was acknowledged, and now: %v", seed, round, n, err)
				}
			}
			next = spendUntilCut(t, s, spent, next, random.IntN(8))
			s.Close() //nolint:errcheck // the disk may be gone
		}
		if random.IntN(3) > 0 {
			continue // the process died alone
		}
		dir = t.TempDir()
		d.cut(t, dir)
		d = newLossyDisk(dir, random)
	}
	t.Logf("%d tokens were acknowledged", len(spent))
}

// spendUntilCut spends keys, many at once, until nothing more is taken, or some
// times. It notes which were acknowledged.
func spendUntilCut(t *testing.T, s *Spent, spent map[int]bool, next, times int) int {
	t.Helper()
	var mu sync.Mutex
	acknowledged := map[int]bool{}
	cut := false
	for i := 0; i < times && !cut; i++ {
		var wg sync.WaitGroup
		for range 40 {
			n := next
			next++
			wg.Go(func() {
				err := s.Spend(t.Context(), testEpoch(n), testKey(n))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					acknowledged[n] = true
				case errors.Is(err, errDisk):
					cut = true
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	maps.Copy(spent, acknowledged)
	return next
}
