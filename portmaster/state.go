package portmaster

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A stateDir is the daemon's folder, held by one daemon at a time.
type stateDir struct {
	path string
	lock *os.File
}

// openState makes the folder if need be and takes it. Nobody but its owner
// may look into it: it holds the history and the page's secret.
func openState(path string) (*stateDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the state folder: %w", err)
	}
	for _, dir := range []string{path, filepath.Join(path, "profiles"), filepath.Join(path, "lists")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the state folder: %w: choose another with --state", err)
		}
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return nil, fmt.Errorf("close the state folder to others: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("a Portmaster already uses %s: stop that one with `portmaster stop --state %s`, or choose another folder with --state", path, path)
		}
		return nil, fmt.Errorf("lock the state folder %s: %w", path, err)
	}
	return &stateDir{path, lock}, nil
}

func (s *stateDir) file(name string) string { return filepath.Join(s.path, name) }

func (s *stateDir) Close() error { return s.lock.Close() }

// token reads the page's secret, or makes one at the first start. Deleting
// the file and starting again signs every browser out.
func (s *stateDir) token() (string, error) {
	path := s.file("token")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s.newToken(path)
	}
	if err != nil {
		return "", fmt.Errorf("read the page's secret: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if len(token) < tokenLength {
		return "", fmt.Errorf("the page's secret in %s is damaged: delete the file, a new one is made at the next start", path)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return "", fmt.Errorf("close the page's secret to others: %w", err)
	}
	return token, nil
}

// tokenLength is the least number of characters; 26 of base32 hold 130 bits.
const tokenLength = 26

func (s *stateDir) newToken(path string) (string, error) {
	token := rand.Text()
	if err := writeFile(path, []byte(token+"\n")); err != nil {
		return "", fmt.Errorf("write the page's secret: %w", err)
	}
	return token, nil
}

// writeFile replaces a file in one step; a crash leaves the old or the new.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the renaming
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
