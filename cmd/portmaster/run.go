package main

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"safing/internal/command"
	"safing/portmaster"
)

type runCommand struct {
	Cgroup  string `help:"Guard only the processes of this control group, given as its folder." type:"path" placeholder:"PATH"`
	State   string `help:"The folder for settings, profiles and history." default:"${state}" type:"path"`
	Listen  string `help:"Where the page listens; a loopback address." default:"${listen}"`
	Verbose bool   `help:"Log more." short:"v"`
}

// Help is shown under the command's flags.
func (c *runCommand) Help() string {
	return "Settings are read from portmaster.toml in the state folder, and applications' rules from profiles/*.toml. " +
		"Both may be changed while it runs. When it is stopped, everything goes out again; " +
		"when it is killed, what it guards stays cut off until `portmaster run` or `portmaster stop` with the same state folder."
}

// Run guards until ctx ends.
func (c *runCommand) Run(ctx context.Context, io command.IO) error {
	level := slog.LevelInfo
	if c.Verbose {
		level = slog.LevelDebug
	}
	d, err := portmaster.Start(ctx, portmaster.Config{
		State: c.State, Cgroup: c.Cgroup, Listen: c.Listen, DefaultSocket: defaultSocket, PinDir: pins,
		Version: version(), OpenTunnel: openTunnel,
		Log: slog.New(slog.NewTextHandler(io.Err, &slog.HandlerOptions{Level: level})),
	})
	if err != nil {
		return err
	}
	page, socket := d.Ready()
	_, err = fmt.Fprintf(io.Out, "ready ui=%s api=%s\n", page, socket)
	if err == nil {
		<-ctx.Done()
	}
	d.Close()
	return err
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return info.Main.Version
}
