package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"safing/internal/command"
	"safing/portmaster"
	"safing/portmaster/api"
)

// stopLimit is how long a daemon may take to end.
const stopLimit = 15 * time.Second

type stopCommand struct {
	State string `help:"The folder of the daemon to stop." default:"${state}" type:"path"`
}

// Help is shown under the command's flags.
func (c *stopCommand) Help() string {
	return "After a daemon was killed, this removes what it left in the kernel."
}

// Run stops the daemon, or cleans up after one that was killed.
func (c *stopCommand) Run(ctx context.Context, io command.IO) error {
	client, err := api.Dial(ctx, filepath.Join(c.State, "api.sock"))
	if errors.Is(err, api.ErrNoDaemon) {
		return c.release(io)
	}
	if err != nil {
		return err
	}
	defer client.Close()
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if err := syscall.Kill(s.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop process %d: %w", s.PID, err)
	}
	if err := c.await(ctx, s.PID); err != nil {
		return err
	}
	_, err = fmt.Fprintln(io.Out, "stopped")
	return err
}

// await returns when the process has given the folder up.
func (c *stopCommand) await(ctx context.Context, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := portmaster.Release(c.State, pins); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("process %d did not stop: look into its log, or end it with kill -9 %d and run this again", pid, pid)
		}
	}
}

func (c *stopCommand) release(io command.IO) error {
	found, err := portmaster.Release(c.State, pins)
	if err != nil {
		return err
	}
	what := "no Portmaster ran; what the last one guarded is open again"
	if !found {
		what = fmt.Sprintf("no Portmaster runs in %s, and none left anything in the kernel", c.State)
	}
	_, err = fmt.Fprintln(io.Out, what)
	return err
}
