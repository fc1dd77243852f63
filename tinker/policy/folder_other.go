//go:build !unix

package policy

import (
	"errors"
	"fmt"
)

// syncFolder has no way here; a file system with a journal, as NTFS, keeps the
// order of writing and renaming by itself.
func syncFolder(path string) error {
	return fmt.Errorf("sync %s: %w", path, errors.ErrUnsupported)
}
