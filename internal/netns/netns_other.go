//go:build !linux

package netns

import (
	"errors"
	"fmt"
)

// A Namespace cannot be made on this system.
type Namespace struct{}

// New returns an error that wraps [errors.ErrUnsupported].
func New() (*Namespace, error) { return nil, Available() }

// Do returns an error that wraps [errors.ErrUnsupported].
func (n *Namespace) Do(func() error) error { return Available() }

// Path is empty.
func (n *Namespace) Path() string { return "" }

// Close does nothing.
func (n *Namespace) Close() {}

// Available returns an error that wraps [errors.ErrUnsupported].
func Available() error {
	return fmt.Errorf("network namespaces exist on Linux only: %w", errors.ErrUnsupported)
}
