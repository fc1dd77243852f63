package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"safing/internal/command"
	"safing/stamp/labels"
)

const description = "Keeps labelled domains, shows them on a web site, and gives them to network filters as feeds."

type grammar struct {
	Serve      serveCommand       `cmd:"" help:"Run the site and the feeds."`
	Add        addCommand         `cmd:"" help:"Label domains."`
	Remove     removeCommand      `cmd:"" help:"Take a label from domains."`
	Import     importCommand      `cmd:"" help:"Label all domains of a list."`
	List       listCommand        `cmd:"" help:"Print what is labelled."`
	Feed       feedCommand        `cmd:"" help:"Print the feed of a label."`
	Completion command.Completion `cmd:"" help:"Print a completion script for a shell."`
}

func main() { command.Main("stamp", description, &grammar{}) }

// state is where the store is; every command that uses it embeds it.
type state struct {
	State string `help:"Folder of the store." default:"/var/lib/stamp" env:"STAMP_STATE" type:"path" placeholder:"DIR"`
}

// open opens the store; a new one holds the starter set.
func (s state) open(ctx context.Context) (*labels.Store, error) {
	store, err := labels.Open(ctx, filepath.Join(s.State, "stamp.db"))
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w; name a folder that you may write to with --state DIR", err)
	}
	return store, err
}

// with opens the store for one task.
func (s state) with(ctx context.Context, f func(*labels.Store) error) error {
	store, err := s.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(f(store), store.Close())
}
