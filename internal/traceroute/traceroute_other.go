//go:build !linux

package traceroute

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

// Trace returns an error that wraps [errors.ErrUnsupported].
func Trace(context.Context, netip.Addr, Config) (Path, error) {
	return Path{}, fmt.Errorf("trace a path: it works on Linux only: %w", errors.ErrUnsupported)
}
