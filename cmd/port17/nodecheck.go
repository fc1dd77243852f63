package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"safing/internal/command"
	"safing/port17/checkup"
	"safing/port17/node"
)

type nodeCheck struct {
	JSON bool `help:"Print JSON." name:"json"`
}

// Help says what the levels mean.
func (*nodeCheck) Help() string {
	return "May run before the node starts, or beside it, as the user that it runs as. Each line is ok, a warning (the node could do better) or a problem (it does not run, or nobody uses it), with what to do. The exit code is 1 if there is a problem."
}

// Run prints what is found; a problem is the error.
func (c *nodeCheck) Run(ctx context.Context, io command.IO, o *nodeOptions) error {
	findings, err := o.check(ctx, io)
	if err != nil {
		return err
	}
	if err := printFindings(io, findings, c.JSON); err != nil {
		return err
	}
	if problems := countProblems(findings); problems > 0 {
		return fmt.Errorf("%d of %d checks have found a problem: do what they say, then check again", problems, len(findings))
	}
	return nil
}

func countProblems(findings []checkup.Finding) (problems int) {
	for _, f := range findings {
		if f.Level == checkup.Problem {
			problems++
		}
	}
	return problems
}

// check looks whether the node is set up well.
func (o *nodeOptions) check(ctx context.Context, io command.IO) ([]checkup.Finding, error) {
	config, err := o.config()
	if err != nil {
		return nil, err
	}
	passphrase, err := o.passphrase()
	if err != nil {
		return nil, err
	}
	locations, err := o.open(logTo(io, false))
	if err != nil {
		return nil, err
	}
	return checkup.Run(ctx, checkup.Config{
		Network: config.Network, Listen: config.Listen, ListenQUIC: config.ListenQUIC, ListenTLS: config.ListenTLS, TLSHost: config.TLSHost,
		Exit: config.Exit, Contact: config.Contact, State: config.State,
		Country: config.Country, ASN: config.ASN, Geo: locations,
		Key: o.identityFile(), Passphrase: passphrase,
		Links: node.DefaultMaxClients + config.Parallel*config.MaxLinks, Connections: config.ExitLimits.Connections,
	}), nil
}

func printFindings(io command.IO, findings []checkup.Finding, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(io.Out)
		e.SetIndent("", "  ")
		return e.Encode(findings)
	}
	t := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		text := f.Text
		if f.Fix != "" {
			text += " → " + f.Fix
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", f.Level, f.Check, text)
	}
	return t.Flush()
}
