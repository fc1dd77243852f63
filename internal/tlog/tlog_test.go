package tlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"safing/internal/sqlite"
)

func openLog(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "log.db"), []string{Schema})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// add appends the leaves in one transaction.
func add(t rapid.TB, db *sql.DB, leaves ...[]byte) {
	t.Helper()
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit there is nothing to roll back
	for _, leaf := range leaves {
		if _, err := Append(context.Background(), tx, leaf); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

func numbered(n int) (leaves [][]byte) {
	for i := range n {
		leaves = append(leaves, fmt.Appendf(nil, "leaf %d\n", i))
	}
	return leaves
}

// rootOf is RFC 6962, 2.1, word by word.
func rootOf(leaves [][]byte) Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	left, right := rootOf(leaves[:k]), rootOf(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// Whatever part of the leaves is in the database, the tree is that of the RFC,
// and its proofs hold.
func TestTree(t *testing.T) {
	ctx := t.Context()
	rapid.Check(t, func(rt *rapid.T) {
		leaves := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 0, 40).Draw(rt, "leaves")
		stored := rapid.IntRange(0, len(leaves)).Draw(rt, "stored")
		db, err := sqlite.Open(ctx, ":memory:", []string{Schema})
		if err != nil {
			rt.Fatal(err)
		}
		defer db.Close()
		add(rt, db, leaves[:stored]...)
		tree, err := At(ctx, db)
		if err != nil {
			rt.Fatal(err)
		}
		for _, leaf := range leaves[stored:] {
			if tree, err = tree.With(ctx, leaf); err != nil {
				rt.Fatal(err)
			}
		}
		root, err := tree.Root(ctx)
		if err != nil || root != rootOf(leaves) || tree.Size() != int64(len(leaves)) {
			rt.Fatalf("root %v of %d leaves, %v; want %v of %d", root, tree.Size(), err, rootOf(leaves), len(leaves))
		}
		for i, leaf := range leaves {
			p, err := tree.Prove(ctx, int64(i))
			if err != nil {
				rt.Fatal(err)
			}
			if err := tlog.CheckRecord(p, tree.Size(), root, int64(i), tlog.RecordHash(leaf)); err != nil {
				rt.Fatalf("leaf %d of %d: %v", i, len(leaves), err)
			}
		}
		for old := range len(leaves) + 1 {
			p, err := tree.ProveFrom(ctx, int64(old))
			if err != nil {
				rt.Fatal(err)
			}
			if old == 0 {
				continue
			}
			if err := tlog.CheckTree(p, tree.Size(), root, int64(old), rootOf(leaves[:old])); err != nil {
				rt.Fatalf("from %d to %d: %v", old, len(leaves), err)
			}
		}
	})
}

// The tree that was signed before is the one that there is after.
func TestWithIsWhatAppendMakes(t *testing.T) {
	db := openLog(t)
	ctx := t.Context()
	for _, leaf := range numbered(20) {
		tree, err := At(ctx, db)
		if err != nil {
			t.Fatal(err)
		}
		next, err := tree.With(ctx, leaf)
		if err != nil {
			t.Fatal(err)
		}
		want, err := next.Root(ctx)
		if err != nil {
			t.Fatal(err)
		}
		before, err := tree.Root(ctx)
		if err != nil {
			t.Fatal(err)
		}
		add(t, db, leaf)
		now, err := At(ctx, db)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := now.Root(ctx); err != nil || got != want {
			t.Errorf("root of %d: %v, %v; want %v", now.Size(), got, err, want)
		}
		if got, err := tree.Root(ctx); err != nil || got != before {
			t.Errorf("the root of %d has become %v, %v; it was %v", tree.Size(), got, err, before)
		}
		if old, err := AtSize(ctx, db, tree.Size()); err != nil {
			t.Error(err)
		} else if got, err := old.Root(ctx); err != nil || got != before {
			t.Errorf("root at size %d: %v, %v; want %v", tree.Size(), got, err, before)
		}
	}
}

func TestLeaves(t *testing.T) {
	db := openLog(t)
	ctx := t.Context()
	leaves := numbered(10)
	add(t, db, leaves...)
	if n, err := Size(ctx, db); err != nil || n != 10 {
		t.Errorf("size %d, %v", n, err)
	}
	if got, err := Leaf(ctx, db, 7); err != nil || !bytes.Equal(got, leaves[7]) {
		t.Errorf("leaf 7 is %q, %v", got, err)
	}
	for _, n := range []int64{-1, 10} {
		if _, err := Leaf(ctx, db, n); !errors.Is(err, ErrNoLeaf) {
			t.Errorf("leaf %d: %v, want %v", n, err, ErrNoLeaf)
		}
	}
	if got, err := Leaves(ctx, db, 8, 5); err != nil || len(got) != 2 || !bytes.Equal(got[0], leaves[8]) {
		t.Errorf("leaves from 8: %q, %v", got, err)
	}
	for _, size := range []int64{-1, 11} {
		if _, err := AtSize(ctx, db, size); err == nil {
			t.Errorf("there is a tree of %d leaves", size)
		}
	}
}

// What is rolled back was never in the log.
func TestRollback(t *testing.T) {
	db := openLog(t)
	add(t, db, numbered(3)...)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := Append(t.Context(), tx, []byte("lost")); err != nil || n != 3 {
		t.Fatalf("appended as %d, %v", n, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	add(t, db, []byte("kept"))
	tree, err := At(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tree.Root(t.Context()); err != nil || got != rootOf(append(numbered(3), []byte("kept"))) {
		t.Errorf("root %v, %v", got, err)
	}
}

func TestLongLeaf(t *testing.T) {
	db := openLog(t)
	add(t, db, make([]byte, MaxLeaf))
	tree, err := At(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.With(t.Context(), make([]byte, MaxLeaf+1)); err == nil {
		t.Error("a leaf that no bundle can hold was taken")
	}
}

// A hash that is gone is noticed, not taken for another.
func TestDamage(t *testing.T) {
	for _, damage := range []string{"DELETE FROM log_hashes WHERE number = 0", "UPDATE log_hashes SET hash = x'00' WHERE number = 0"} {
		db := openLog(t)
		add(t, db, numbered(1)...)
		if _, err := db.Exec(damage); err != nil {
			t.Fatal(err)
		}
		tree, err := At(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tree.Root(t.Context()); err == nil {
			t.Errorf("after %q there is a root", damage)
		}
	}
}

func BenchmarkWith(b *testing.B) {
	db := openLog(b)
	add(b, db, numbered(10000)...)
	leaf := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		tree, err := At(b.Context(), db)
		if err != nil {
			b.Fatal(err)
		}
		next, err := tree.With(b.Context(), leaf)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := next.Root(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
