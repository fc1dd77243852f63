package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"safing/internal/command"
	"safing/portmaster/api"
)

type whyCommand struct {
	daemonFlags
	JSON        bool   `help:"Print JSON."`
	App         string `arg:"" help:"The application: a profile's ID, or the path of a program."`
	Destination string `arg:"" help:"A domain or an address, with a port if it matters: example.com, 192.0.2.1:443, udp://[2001:db8::1]:53."`
}

// Run prints the verdict and what each layer answers.
func (c *whyCommand) Run(ctx context.Context, io command.IO) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	w, err := client.Why(ctx, c.App, c.Destination)
	if err != nil {
		return err
	}
	if c.JSON {
		return encode(io.Out, w)
	}
	fmt.Fprintf(io.Out, "%s: %s\n", w.Verdict, printable(w.Reason))
	if w.Rule != "" {
		fmt.Fprintf(io.Out, "rule: %s\n", printable(w.Rule))
	}
	fmt.Fprintln(io.Out)
	t := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LAYER\tANSWER\tREASON")
	for _, s := range w.Steps {
		answer := s.Verdict
		if answer == "" {
			answer = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", printable(s.Layer), answer, printable(s.Reason))
	}
	return t.Flush()
}

type reloadCommand struct{ daemonFlags }

// Run has the daemon read its files; what is wrong in them is the error.
func (c *reloadCommand) Run(ctx context.Context, io command.IO) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	r, err := client.Reload(ctx)
	if err != nil {
		return err
	}
	if len(r.Problems) > 0 {
		return errors.New(strings.Join(r.Problems, "; ") + ": what was in force before stays, correct it and reload again")
	}
	_, err = fmt.Fprintf(io.Out, "%d profiles are in force\n", r.Profiles)
	return err
}

type statusCommand struct {
	daemonFlags
	JSON bool `help:"Print JSON."`
}

// Run prints what runs.
func (c *statusCommand) Run(ctx context.Context, io command.IO) error {
	client, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return encode(io.Out, s)
	}
	profiles, err := client.Profiles(ctx)
	if err != nil {
		return err
	}
	return printStatus(io.Out, s, profiles)
}

func printStatus(w io.Writer, s api.Status, profiles []api.Profile) error {
	guards := "this machine"
	if s.Guards != "" {
		guards = s.Guards
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "running\tsince %s, pid %d\n", s.Started.Local().Format(time.DateTime), s.PID)
	fmt.Fprintf(t, "guards\t%s\n", guards)
	fmt.Fprintf(t, "page\t%s\n", s.Page)
	fmt.Fprintf(t, "state\t%s\n", s.State)
	fmt.Fprintf(t, "default\t%s, for applications without a profile\n", s.Default)
	c := s.Connections
	fmt.Fprintf(t, "connections\t%d permitted, %d denied, %d tunnelled\n", c.Permitted, c.Denied, c.Tunnelled)
	fmt.Fprintf(t, "questions\t%d answered, %d refused, %d failed\n", s.Resolver.Answered, s.Resolver.Denied, s.Resolver.Failed)
	for _, p := range profiles {
		fmt.Fprintf(t, "profile\t%s: %d rules, else %s\n", p.ID, len(p.Rules), p.Default)
	}
	for _, l := range s.Lists {
		fmt.Fprintf(t, "list\t%s: %d entries\n", l.Name, l.Entries)
	}
	for _, p := range s.Problems {
		fmt.Fprintf(t, "problem\t%s\n", printable(p))
	}
	return t.Flush()
}

func encode(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
