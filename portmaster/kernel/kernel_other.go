//go:build !linux

package kernel

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
)

var errSystem = fmt.Errorf("guard processes: this needs Linux: %w", errors.ErrUnsupported)

// A Guard exists on Linux only.
type Guard struct{}

// Load always fails.
func Load(Config) (*Guard, error) { return nil, errSystem }

// StatExe always fails.
func StatExe(string) (ExeID, error) { return ExeID{}, errSystem }

// CgroupMount always fails.
func CgroupMount() (string, error) { return "", errSystem }

// Probe reports the one thing that is missing.
func Probe() []Feature {
	return []Feature{{Name: "Linux", Why: "programs run in its kernel", Err: errSystem, Fix: "run it on Linux"}}
}

// SetPolicy always fails.
func (*Guard) SetPolicy(AppID, []Entry) error { return errSystem }

// RemovePolicy always fails.
func (*Guard) RemovePolicy(AppID) error { return errSystem }

// SetFlow always fails.
func (*Guard) SetFlow(AppID, netip.Addr, []Case) error { return errSystem }

// DeleteFlow always fails.
func (*Guard) DeleteFlow(AppID, netip.Addr) error { return errSystem }

// BindExe always fails.
func (*Guard) BindExe(ExeID, AppID) error { return errSystem }

// UnbindExe always fails.
func (*Guard) UnbindExe(ExeID) error { return errSystem }

// Read always fails.
func (*Guard) Read(context.Context) (Event, error) { return Event{}, errSystem }

// Lost is zero.
func (*Guard) Lost() uint64 { return 0 }

// Original always fails.
func (*Guard) Original(netip.AddrPort, uint8) (Redirect, error) { return Redirect{}, errSystem }

// Close does nothing.
func (*Guard) Close() error { return nil }
