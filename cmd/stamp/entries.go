package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"safing/internal/command"
	"safing/stamp/labels"
)

type addCommand struct {
	state
	Label   string   `arg:"" help:"The label, such as ads or tracker."`
	Domains []string `arg:"" name:"domain" help:"Domains; their subdomains are meant too."`
	Why     string   `help:"The reason or the source, shown on the site." placeholder:"TEXT"`
}

// Run labels the domains, all or none.
func (c *addCommand) Run(ctx context.Context, io command.IO) error {
	return c.with(ctx, func(store *labels.Store) error {
		added, err := store.Add(ctx, c.Label, c.Why, c.Domains...)
		if err != nil {
			return err
		}
		return report(io.Out, "added", added, c.Label, "already there", len(c.Domains)-added)
	})
}

type removeCommand struct {
	state
	Label   string   `arg:"" help:"The label."`
	Domains []string `arg:"" name:"domain" help:"Domains that shall not carry it any more."`
}

// Run takes the label from the domains.
func (c *removeCommand) Run(ctx context.Context, io command.IO) error {
	return c.with(ctx, func(store *labels.Store) error {
		removed, err := store.Remove(ctx, c.Label, c.Domains...)
		if err != nil {
			return err
		}
		return report(io.Out, "removed", removed, c.Label, "not there", len(c.Domains)-removed)
	})
}

type importCommand struct {
	state
	Label string `arg:"" help:"The label that the domains get."`
	File  string `arg:"" help:"A hosts file or a domain per line; - is standard input."`
	Why   string `help:"The reason or the source, shown on the site; else the file's name." placeholder:"TEXT"`
}

// Run labels all domains of the list.
func (c *importCommand) Run(ctx context.Context, out command.IO) error {
	list, err := readList(c.File)
	if err != nil {
		return fmt.Errorf("import %s: %w", c.File, err)
	}
	why := c.Why
	if why == "" && c.File != "-" {
		why = "From " + c.File
	}
	return c.with(ctx, func(store *labels.Store) error {
		added, err := store.Add(ctx, c.Label, why, list.Domains...)
		if err != nil {
			return err
		}
		if list.Skipped > 0 {
			fmt.Fprintf(out.Err, "skipped %d that cannot be listed; the first: %v\n", list.Skipped, list.First)
		}
		return report(out.Out, "added", added, c.Label, "already there", len(list.Domains)-added)
	})
}

func readList(file string) (*labels.List, error) {
	var r io.Reader = os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	list, err := labels.ParseList(r)
	if err != nil {
		return nil, err
	}
	if len(list.Domains) == 0 {
		return nil, errors.New("there is no domain in it")
	}
	return list, nil
}

// report says in one line what was done.
func report(w io.Writer, done string, n int, label, rest string, others int) error {
	text := fmt.Sprintf("%s: %d %s", label, n, done)
	if others > 0 {
		text += fmt.Sprintf(", %d %s", others, rest)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

type listCommand struct {
	state
	Label string `help:"Only this label." placeholder:"LABEL"`
	JSON  bool   `name:"json" help:"Print a JSON array."`
}

// Run prints the entries by label and domain.
func (c *listCommand) Run(ctx context.Context, io command.IO) error {
	return c.with(ctx, func(store *labels.Store) error {
		if c.Label != "" {
			if err := known(ctx, store, c.Label); err != nil {
				return err
			}
		}
		entries := []labels.Entry{}
		err := store.Each(ctx, c.Label, func(e labels.Entry) error {
			entries = append(entries, e)
			return nil
		})
		if err != nil {
			return err
		}
		if c.JSON {
			encoder := json.NewEncoder(io.Out)
			encoder.SetEscapeHTML(false)
			encoder.SetIndent("", "  ")
			return encoder.Encode(entries)
		}
		return table(io.Out, entries)
	})
}

func table(w io.Writer, entries []labels.Entry) error {
	if len(entries) == 0 {
		_, err := fmt.Fprintln(w, "nothing is labelled; add a domain with: stamp add LABEL DOMAIN")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LABEL\tDOMAIN\tSINCE\tWHY")
	for _, e := range entries {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", e.Label, e.Domain, e.Added.Format("2006-01-02"), e.Why)
	}
	return t.Flush() // a tabwriter keeps its first error
}

type feedCommand struct {
	state
	Label string `arg:"" help:"The label."`
}

// Run prints the feed as the site serves it.
func (c *feedCommand) Run(ctx context.Context, io command.IO) error {
	return c.with(ctx, func(store *labels.Store) error {
		if err := known(ctx, store, c.Label); err != nil {
			return err
		}
		feed, err := store.Feed(ctx, c.Label)
		if err != nil {
			return err
		}
		return feed.WriteHosts(io.Out)
	})
}

// known returns an error that names the labels there are, unless label is one.
func known(ctx context.Context, store *labels.Store, label string) error {
	_, err := store.Changed(ctx, label)
	if !errors.Is(err, labels.ErrNoLabel) {
		return err
	}
	counts, err := store.Labels(ctx)
	if err != nil {
		return err
	}
	names := make([]string, len(counts))
	for i, c := range counts {
		names[i] = c.Label
	}
	return fmt.Errorf("%w: %q; there are: %s", labels.ErrNoLabel, label, strings.Join(names, ", "))
}
