package portmaster

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// unmount ends the file system at dir; it is fs.ErrNotExist when there is none.
func unmount(dir string) error {
	err := unix.Unmount(dir, 0)
	if errors.Is(err, unix.EINVAL) {
		return fs.ErrNotExist
	}
	return err
}
