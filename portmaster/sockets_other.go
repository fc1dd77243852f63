//go:build !linux

package portmaster

import "errors"

// listSockets is for Linux alone.
func listSockets() (map[uint64]socket, error) { return nil, errors.ErrUnsupported }
