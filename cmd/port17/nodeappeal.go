package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"syscall"

	"github.com/pelletier/go-toml/v2"

	"safing/internal/command"
	"safing/internal/settings"
	"safing/netmap"
	"safing/port17/node"
)

type nodeAppeal struct {
	Text string `arg:"" help:"What you answer, up to 256 bytes; \"\" for nothing any more."`
}

// Help is what --help says besides the flags.
func (*nodeAppeal) Help() string {
	return "When authorities suspend a node, or flag it, their reasons stand on the map for everybody to read. The operator's " +
		"answer stands beside them. This writes it into the settings of the node, as appeal = \"…\"; the running node reads it " +
		"again on SIGHUP, and publishes it, whether it is listed or not.\n\n" +
		"Example: port17 node appeal --config /etc/port17/node.toml 'the resolver is repaired since 12 May: please look again'"
}

// Run changes the file.
func (c *nodeAppeal) Run(io command.IO, file settingsFile) error {
	if file == "" {
		return errors.New("name the file with the node's settings, with --config")
	}
	if err := netmap.CheckAppeal(c.Text); err != nil {
		return err
	}
	path := string(file)
	text, err := settings.Read(path)
	if err != nil {
		return err
	}
	changed, err := setAppeal(text, c.Text)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := settings.Decode(path, changed, new(nodeOptions)); err != nil {
		return fmt.Errorf("set the appeal by hand, as appeal = \"…\": %w", err)
	}
	if err := replace(path, changed); err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	fmt.Fprintf(io.Out, "%s is changed. Let the node read it: systemctl reload port17-node, or kill -HUP\n", path)
	return nil
}

// setAppeal returns the settings with the appeal, in the place of an older one.
// All else stays as it was written.
func setAppeal(text []byte, appeal string) ([]byte, error) {
	line, err := toml.Marshal(map[string]string{"appeal": appeal})
	if err != nil {
		return nil, err
	}
	old := regexp.MustCompile(`(?m)^[ \t]*appeal[ \t]*=.*\n?`)
	at := old.FindIndex(text)
	if at == nil {
		if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
			text = append(text, '\n')
		}
		return append(text, line...), nil
	}
	return append(append(bytes.Clone(text[:at[0]]), line...), text[at[1]:]...), nil
}

// replace writes a file anew, atomically and with the mode that it has. A new one
// everybody may read.
func replace(path string, b []byte) error {
	mode := fs.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, b, mode); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// followAppeal reads the appeal again on SIGHUP, until ctx ends. Other settings
// take a restart.
func followAppeal(ctx context.Context, n *node.Node, file string, log *slog.Logger) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	defer signal.Stop(signals)
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		if file == "" {
			log.Info("there are no settings to read again: the node runs without --config")
			continue
		}
		values, err := readSettings(file)
		if err == nil {
			appeal, _ := values["appeal"].(string) // readSettings has checked what it is
			err = n.SetAppeal(appeal)
		}
		if err != nil {
			log.Error("the appeal is not changed", "error", err)
			continue
		}
		log.Info("the appeal was read again; other settings take a restart")
	}
}
