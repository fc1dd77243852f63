//go:build unix

package policy

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// syncFolder makes a renaming in the folder last.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) { // fsync(2): not on this file system
		err = fmt.Errorf("sync %s: %w", path, errors.ErrUnsupported)
	}
	return errors.Join(err, d.Close())
}
