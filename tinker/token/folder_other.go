//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package token

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

func lockFolder(string) (*os.File, error) {
	return nil, fmt.Errorf("files cannot be locked on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func syncFolder(string) error { return errors.ErrUnsupported }
