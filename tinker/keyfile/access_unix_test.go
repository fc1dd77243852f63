//go:build unix

package keyfile_test

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"safing/tinker/keyfile"
)

// loads returns what a file's access leads to; the file holds a key that is a
// passphrase, too, as far as access goes.
func loads(path string) string {
	_, err := keyfile.Load[ed25519.PrivateKey](path, "")
	if err == nil {
		return ""
	}
	if _, other := keyfile.ReadPassphrase(path); other == nil || strings.TrimPrefix(err.Error(), "load key ") != strings.TrimPrefix(other.Error(), "read passphrase ") {
		return fmt.Sprintf("%v, but as a passphrase %v", err, other)
	}
	return strings.TrimPrefix(err.Error(), "load key "+path+": ")
}

func TestMode(t *testing.T) {
	key, path := generate(t), filepath.Join(t.TempDir(), "key")
	if err := keyfile.Save(path, key, keyfile.Options{}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("made with the mode %v, %v", info.Mode(), err)
	}
	for mode, ok := range map[os.FileMode]bool{
		0o600: true, 0o400: true, 0o700: true,
		0o640: false, 0o620: false, 0o610: false, 0o604: false, 0o602: false, 0o644: false, 0o440: false,
	} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		want := ""
		if !ok {
			want = fmt.Sprintf("its mode %04o lets others read or change it: run chmod 600 %s", mode, path)
		}
		if got := loads(path); got != want {
			t.Errorf("mode %04o: %q, want %q", mode, got, want)
		}
	}
}

func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to another user")
	}
	key, path := generate(t), filepath.Join(t.TempDir(), "key")
	if err := keyfile.Save(path, key, keyfile.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Fatal(err)
	}
	want := "it belongs to user 12345, and this program runs as user 0: run it as that user, or run chown 0 " + path
	if got := loads(path); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path))
	if got := loads(path); got != want {
		t.Errorf("as a credential: %q, want %q", got, want)
	}
}

// systemd gives a credential of another user's service the mode 0440.
func TestCredential(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if err := keyfile.Save(path, generate(t), keyfile.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		folder string
		mode   os.FileMode
		ok     bool
	}{
		{dir, 0o440, true},
		{dir + "/", 0o440, true},
		{dir, 0o400, true},
		{dir, 0o460, false},
		{dir, 0o444, false},
		{"", 0o440, false},
		{filepath.Dir(dir), 0o440, false},
		{dir + "y", 0o440, false},
	} {
		if err := os.Chmod(path, test.mode); err != nil {
			t.Fatal(err)
		}
		t.Setenv("CREDENTIALS_DIRECTORY", test.folder)
		if got := loads(path); (got == "") != test.ok {
			t.Errorf("mode %04o, credentials in %q: %q", test.mode, test.folder, got)
		}
	}
}

// A passphrase may come from a pipe: --passphrase-file <(pass port17).
func TestPassphraseFromPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("correct horse\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/dev/fd/%d", r.Fd())
	if got, err := keyfile.ReadPassphrase(path); err != nil || got != "correct horse" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := keyfile.Load[ed25519.PrivateKey](path, ""); err == nil || !strings.Contains(err.Error(), "it is not a regular file") {
		t.Errorf("a key from a pipe: %v", err)
	}
}
