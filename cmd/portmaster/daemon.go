package main

import (
	"context"
	"path/filepath"

	"safing/portmaster/api"
)

const (
	defaultState  = "/var/lib/portmaster"
	defaultListen = "127.0.0.1:8117"
	// defaultSocket leads to the daemon that runs, wherever its folder is.
	defaultSocket = "/run/portmaster/api.sock"
	// pins is where the kernel's programs outlive a crash.
	pins = "/run/portmaster/pins"
)

// daemonFlags say which daemon a command asks.
type daemonFlags struct {
	State  string `help:"The folder of the daemon to ask." type:"path" placeholder:"DIR"`
	Socket string `help:"The socket of the daemon to ask, by default the one that runs." type:"path" placeholder:"PATH"`
}

func (f *daemonFlags) path() string {
	switch {
	case f.Socket != "":
		return f.Socket
	case f.State != "":
		return filepath.Join(f.State, "api.sock")
	default:
		return defaultSocket
	}
}

func (f *daemonFlags) dial(ctx context.Context) (*api.Client, error) {
	return api.Dial(ctx, f.path())
}
