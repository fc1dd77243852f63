//go:build !linux && !darwin

package checkup

import "errors"

func freeSpace(string) (uint64, error) { return 0, errors.ErrUnsupported }

func openFiles() (uint64, error) { return 0, errors.ErrUnsupported }
