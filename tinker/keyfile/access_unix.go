//go:build unix

package keyfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// checkAccess returns an error if others than the user of this process have
// access to a file.
func checkAccess(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("the system does not say whose it is")
	}
	// For a service of another user, systemd adds an entry to the access control
	// list of a credential. That shows as the group's right to read it.
	credential := isCredential(path)
	mode := info.Mode().Perm()
	if credential {
		mode &^= 0o040
	}
	owner, user := int(stat.Uid), os.Geteuid()
	if owner != user && (!credential || owner != 0) {
		return fmt.Errorf("it belongs to user %d, and this program runs as user %d: run it as that user, or run chown %d %s", owner, user, user, path)
	}
	if mode&0o077 != 0 {
		return fmt.Errorf("its mode %04o lets others read or change it: run chmod 600 %s", info.Mode().Perm(), path)
	}
	return nil
}

// isCredential reports whether systemd keeps the file for this service alone.
func isCredential(path string) bool {
	folder := os.Getenv("CREDENTIALS_DIRECTORY")
	if folder == "" {
		return false
	}
	absolute, err := filepath.Abs(path)
	return err == nil && filepath.Dir(absolute) == filepath.Clean(folder)
}

// syncFolder makes a new name in a folder outlast a power failure, where the
// file system can.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, f.Close())
}
