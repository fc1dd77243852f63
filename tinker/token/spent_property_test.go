package token

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// The set does what a map does, whatever happens in between.
func TestSpentProperty(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		root, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			r.Fatal(err)
		}
		m := &spentModel{root: root, spent: map[modelKey]bool{}}
		m.open(r)
		defer func() { m.set.Close() }() //nolint:errcheck // it is checked in reopen
		r.Repeat(map[string]func(*rapid.T){
			"spend":  m.spend,
			"forget": m.forget,
			"reopen": m.reopen,
			"crash":  m.crash,
			"":       m.check,
		})
	})
}

type modelKey struct {
	epoch uint64
	key   int
}

type spentModel struct {
	root  string
	lives int
	dir   string
	set   *Spent
	spent map[modelKey]bool
	floor uint64
}

const modelLimit = 40

func (m *spentModel) open(r *rapid.T) {
	m.dir = filepath.Join(m.root, string(rune('a'+m.lives)))
	set, err := openSpent(m.dir, SpentConfig{Limit: modelLimit, Queue: 10}, (&faultyDisk{}).disk())
	if err != nil {
		r.Fatal(err)
	}
	m.set = set
}

func (m *spentModel) spend(r *rapid.T) {
	k := modelKey{rapid.Uint64Range(0, 5).Draw(r, "epoch"), rapid.IntRange(0, 15).Draw(r, "key")}
	var want error
	switch {
	case k.epoch < m.floor:
		want = ErrEpochOver
	case m.spent[k]:
		want = ErrSpent
	case len(m.spent) == modelLimit:
		want = ErrFull
	default:
		m.spent[k] = true
	}
	if err := m.set.Spend(r.Context(), k.epoch, testKey(k.key)); !errors.Is(err, want) {
		r.Fatalf("spend %v: got %v, want %v", k, err, want)
	}
}

func (m *spentModel) forget(r *rapid.T) {
	before := rapid.Uint64Range(0, 6).Draw(r, "before")
	if err := m.set.Forget(r.Context(), before); err != nil {
		r.Fatal(err)
	}
	m.floor = max(m.floor, before)
	for k := range m.spent {
		if k.epoch < m.floor {
			delete(m.spent, k)
		}
	}
}

func (m *spentModel) reopen(r *rapid.T) {
	if err := m.set.Close(); err != nil {
		r.Fatal(err)
	}
	m.open(r)
}

// crash goes on with a copy of the files as they are, which no Close has sealed,
// and sometimes with half a record behind them.
func (m *spentModel) crash(r *rapid.T) {
	torn := rapid.SliceOfN(rapid.Byte(), 0, recordSize-1).Draw(r, "torn")
	old := m.dir
	m.lives++
	next := filepath.Join(m.root, string(rune('a'+m.lives)))
	if err := os.CopyFS(next, os.DirFS(old)); err != nil {
		r.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(next, "*"+spentSuffix))
	if err != nil {
		r.Fatal(err)
	}
	for _, n := range names {
		f, err := os.OpenFile(n, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			r.Fatal(err)
		}
		_, err = f.Write(torn)
		if err := errors.Join(err, f.Close()); err != nil {
			r.Fatal(err)
		}
	}
	if err := m.set.Close(); err != nil {
		r.Fatal(err)
	}
	m.open(r)
}

func (m *spentModel) check(r *rapid.T) {
	if m.set.Len() != len(m.spent) {
		r.Fatalf("the set has %d keys, want %d", m.set.Len(), len(m.spent))
	}
}
