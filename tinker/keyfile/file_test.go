package keyfile_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"safing/tinker/keyfile"
)

func generate(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	key, err := keyfile.Generate(keyfile.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	return key.(ed25519.PrivateKey)
}

func TestSaveAndLoad(t *testing.T) {
	key, path := generate(t), filepath.Join(t.TempDir(), "key")
	if _, err := keyfile.Load[ed25519.PrivateKey](path, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before there is a file: %v", err)
	}
	if err := keyfile.Save(path, key, keyfile.Options{}); err != nil {
		t.Fatal(err)
	}
	if got, err := keyfile.Load[ed25519.PrivateKey](path, ""); err != nil || !got.Equal(key) {
		t.Errorf("loaded again: %v", err)
	}
	if _, err := keyfile.Load[ed25519.PrivateKey](path, "p"); !errors.Is(err, keyfile.ErrPlain) {
		t.Errorf("with a passphrase: %v", err)
	}
	if got, err := keyfile.Load[crypto.Signer](path, ""); err != nil || keyfile.KindOf(got) != keyfile.Ed25519 {
		t.Errorf("as any key: %v", err)
	}
	_, err := keyfile.Load[*rsa.PrivateKey](path, "")
	if want := "load key " + path + ": it is an Ed25519 key, and an RSA key is needed"; err == nil || err.Error() != want {
		t.Errorf("as a key of another kind: %v, want %q", err, want)
	}
}

// The real work factor takes a while: everything with a passphrase is here.
func TestPassphrase(t *testing.T) {
	key, path := generate(t), filepath.Join(t.TempDir(), "key")
	if err := keyfile.Save(path, key, keyfile.Options{Passphrase: "old"}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(b), "-----BEGIN AGE ENCRYPTED FILE-----\n") {
		t.Errorf("the file holds %.40q, %v", b, err)
	}
	if got, err := keyfile.Load[ed25519.PrivateKey](path, "old"); err != nil || !got.Equal(key) {
		t.Errorf("loaded again: %v", err)
	}
	if _, err := keyfile.Load[ed25519.PrivateKey](path, ""); !errors.Is(err, keyfile.ErrEncrypted) {
		t.Errorf("without a passphrase: %v", err)
	}
	if _, err := keyfile.Load[ed25519.PrivateKey](path, "new"); !errors.Is(err, keyfile.ErrPassphrase) {
		t.Errorf("with another passphrase: %v", err)
	}
	if err := keyfile.Save(path, key, keyfile.Options{Replace: true}); err != nil {
		t.Fatal(err)
	}
	if got, err := keyfile.Load[ed25519.PrivateKey](path, ""); err != nil || !got.Equal(key) {
		t.Errorf("loaded without the passphrase that was removed: %v", err)
	}
}

func TestSaveReplacesOnlyWhenAsked(t *testing.T) {
	dir := t.TempDir()
	first, second, path := generate(t), generate(t), filepath.Join(dir, "key")
	if err := keyfile.Save(path, first, keyfile.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Save(path, second, keyfile.Options{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another key: %v", err)
	}
	if got, err := keyfile.Load[ed25519.PrivateKey](path, ""); err != nil || !got.Equal(first) {
		t.Errorf("the first key is gone: %v", err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	if err := keyfile.Save(link, second, keyfile.Options{Replace: true}); err != nil {
		t.Fatal(err)
	}
	if got, err := keyfile.Load[ed25519.PrivateKey](path, ""); err != nil || !got.Equal(second) {
		t.Errorf("what the link leads to was not replaced: %v", err)
	}
	checkNames(t, dir, "key", "link")
}

func TestSaveErrors(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	if err := keyfile.Save(filepath.Join(missing, "key"), generate(t), keyfile.Options{}); err == nil || !strings.Contains(err.Error(), "make a file in "+missing) {
		t.Errorf("in a folder that is missing: %v", err)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Save(folder, generate(t), keyfile.Options{Replace: true}); err == nil {
		t.Error("a folder was replaced")
	}
	if _, err := keyfile.Load[ed25519.PrivateKey](folder, ""); err == nil || !strings.Contains(err.Error(), "it is not a regular file") {
		t.Errorf("loaded from a folder: %v", err)
	}
	checkNames(t, dir, "folder")
}

// checkNames reports what Save has left behind.
func checkNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != strings.Join(want, " ") {
		t.Errorf("the folder holds %s, want %s", got, want)
	}
}

func TestReadPassphrase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passphrase")
	for text, want := range map[string]string{
		"correct horse":            "correct horse",
		"correct horse\n":          "correct horse",
		"correct horse\r\n":        "correct horse",
		" pass \n":                 " pass ",
		"":                         "error: its first line is empty",
		"\n":                       "error: its first line is empty",
		"\nsecond\n":               "error: it has more than one line",
		"one\ntwo\n":               "error: it has more than one line",
		strings.Repeat("x", 1<<10): strings.Repeat("x", 1<<10),
		strings.Repeat("x", 1025):  "error: it has more than 1024 bytes",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := keyfile.ReadPassphrase(path)
		if err != nil {
			got = "error" + strings.TrimPrefix(err.Error(), "read passphrase "+path)
		}
		if got != want {
			t.Errorf("%.20q: got %.60q, want %.60q", text, got, want)
		}
	}
}
