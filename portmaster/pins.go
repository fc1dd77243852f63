package portmaster

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// pinsOf is the folder for the kernel's programs of one state folder alone: a
// daemon that starts there takes the place of one that crashed.
func pinsOf(dir, state string) string {
	if dir == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(state))
	return filepath.Join(dir, hex.EncodeToString(sum[:8]))
}

// Release removes the programs that a daemon which was killed left in the
// kernel, so that what it guarded has the open network again. state and pins
// are those of its [Config]. It returns false when there is nothing left, and
// an error while a daemon uses the folder.
func Release(state, pins string) (found bool, err error) {
	if _, err := os.Stat(state); err != nil {
		return false, nil // nobody was here
	}
	s, err := openState(state)
	if err != nil {
		return false, err
	}
	defer s.Close()
	dir := pinsOf(pins, s.path)
	// The pins are a file system of their own, which ends when it is unmounted.
	err = unmount(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("remove what was left in the kernel: %w", &os.PathError{Op: "unmount", Path: dir, Err: err})
	}
	return true, os.Remove(dir)
}
