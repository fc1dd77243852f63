package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"safing/internal/command"
)

type execCommand struct {
	State   string   `help:"The lab's folder." default:".lab" type:"path" env:"LAB_STATE"`
	Command []string `arg:"" help:"The command and its arguments, best after --." passthrough:""`
}

// Help is shown under the command's flags.
func (c *execCommand) Help() string {
	return "The command runs with the lab's Portmaster between it and the network.\n\n" +
		"  lab exec -- curl -s http://127.0.0.1:8000/"
}

// Run puts this process into the guarded group and becomes the command, so
// that its exit code, signals and terminal are the command's own.
func (c *execCommand) Run(context.Context, command.IO) error {
	argv := c.Command
	if len(argv) > 0 && argv[0] == "--" {
		argv = argv[1:]
	}
	if len(argv) == 0 {
		return errors.New("no command given: try `lab exec -- curl -s http://127.0.0.1:8000/`")
	}
	s, err := running(c.State)
	if err != nil {
		return err
	}
	if s.Cgroup == "" {
		return fmt.Errorf("the lab in %s runs no Portmaster: start the whole lab with `make up`", c.State)
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return fmt.Errorf("find %s: %w", argv[0], err)
	}
	if err := enterCgroup(s.Cgroup); err != nil {
		return err
	}
	if err := syscall.Exec(path, argv, os.Environ()); err != nil {
		return fmt.Errorf("run %s: %w", path, err)
	}
	return nil
}

// enterCgroup moves this process into the group.
func enterCgroup(dir string) error {
	err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("only root may enter the guarded group %s: run this with sudo", dir)
	}
	if err != nil {
		return fmt.Errorf("enter the guarded group %s: %w", dir, err)
	}
	return nil
}

// makeCgroup makes an empty group for guarded commands, one for each folder
// of a lab.
func makeCgroup(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the guarded group: %w", err)
	}
	return nil
}

// removeCgroup ends what still runs in the group, because nothing guards it
// any more, and removes the group.
func removeCgroup(dir string) error {
	if dir == "" {
		return nil
	}
	err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end the commands in %s: %w", dir, err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(stopLimit)
	for {
		err := os.Remove(dir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-tick.C:
		case <-limit:
			return fmt.Errorf("remove the guarded group: %w", err)
		}
	}
}
