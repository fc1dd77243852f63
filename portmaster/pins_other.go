//go:build !linux

package portmaster

import "errors"

// unmount is for Linux alone.
func unmount(string) error { return errors.ErrUnsupported }
