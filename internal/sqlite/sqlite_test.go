package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpenMigratesStepByStep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder", "x?y#.db")
	first := []string{"CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)"}
	db, err := Open(t.Context(), path, first)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the file is not where it should be: %v", err)
	}
	db, err = Open(t.Context(), path, append(first, "ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 7"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var x, y int
	if err := db.QueryRow("SELECT x, y FROM a").Scan(&x, &y); err != nil || x != 1 || y != 7 {
		t.Errorf("got %d, %d, %v; want 1, 7", x, y, err)
	}
	var mode string
	if err := db.QueryRow("PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
		t.Errorf("journal mode %q, %v", mode, err)
	}
}

func TestOpenRefusesNewer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := Open(t.Context(), path, []string{"CREATE TABLE a (x)", "CREATE TABLE b (x)"})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := Open(t.Context(), path, []string{"CREATE TABLE a (x)"}); !errors.Is(err, ErrNewer) {
		t.Errorf("got %v, want ErrNewer", err)
	}
}

func TestFailedMigrationChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	bad := "CREATE TABLE a (x); INSERT INTO nowhere VALUES (1)"
	if _, err := Open(t.Context(), path, []string{bad}); err == nil || !strings.Contains(err.Error(), "version 1") {
		t.Fatalf("got %v, want an error that names the version", err)
	}
	db, err := Open(t.Context(), path, []string{"CREATE TABLE a (x)"})
	if err != nil {
		t.Fatalf("the failed migration left something behind: %v", err)
	}
	db.Close()
}

func TestMemory(t *testing.T) {
	db, err := Open(t.Context(), ":memory:", []string{"CREATE TABLE a (x)"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("INSERT INTO a VALUES (1)"); err != nil {
		t.Error(err)
	}
}

func TestDurable(t *testing.T) {
	for want, open := range map[int]func(context.Context, string, []string) (*sql.DB, error){1: Open, 2: OpenDurable} {
		db, err := open(t.Context(), filepath.Join(t.TempDir(), "x.db"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var got int // https://www.sqlite.org/pragma.html#pragma_synchronous
		if err := db.QueryRow("PRAGMA synchronous").Scan(&got); err != nil || got != want {
			t.Errorf("synchronous is %d, %v; want %d", got, err, want)
		}
	}
}
