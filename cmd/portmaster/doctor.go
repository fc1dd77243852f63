package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"text/tabwriter"

	"safing/internal/command"
	"safing/portmaster/api"
	"safing/portmaster/kernel"
)

type doctorCommand struct {
	daemonFlags
	Listen string `help:"The page's address to check." default:"${listen}"`
}

// A finding is one line of the table.
type finding struct {
	name string
	why  string // what it is needed for
	err  error  // nil: it is there
	fix  string // the next step when it is not
}

// Run prints the table; something missing is the error.
func (c *doctorCommand) Run(ctx context.Context, io command.IO) error {
	findings := []finding{root()}
	for _, f := range kernel.Probe() {
		findings = append(findings, finding{f.Name, f.Why, f.Err, f.Fix})
	}
	daemon, running := c.daemon(ctx)
	findings = append(findings, daemon, c.port(running))
	missing := 0
	t := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tSTATE\tNEEDED FOR, OR NEXT STEP")
	for _, f := range findings {
		if f.err == nil {
			fmt.Fprintf(t, "%s\tok\t%s\n", f.name, f.why)
			continue
		}
		missing++
		fmt.Fprintf(t, "%s\tmissing\t%v: %s\n", f.name, f.err, f.fix)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d are missing: take the steps in the table, then ask again", missing, len(findings))
	}
	return nil
}

func root() finding {
	f := finding{name: "root", why: "loading programs into the kernel", fix: "run this with sudo"}
	if os.Geteuid() != 0 {
		f.err = errors.New("this is not root")
	}
	return f
}

// daemon asks whether one runs.
func (c *doctorCommand) daemon(ctx context.Context) (f finding, running *api.Status) {
	f = finding{name: "daemon", why: "running at " + c.path()}
	client, err := c.dial(ctx)
	if errors.Is(err, api.ErrNoDaemon) {
		f.err, f.fix = errors.New("none runs"), "start one with `portmaster run`, or name its folder with --state"
		return f, nil
	}
	if err != nil {
		f.err, f.fix = err, "then ask again"
		return f, nil
	}
	defer client.Close()
	s, err := client.Status(ctx)
	if err != nil {
		f.err, f.fix = err, "stop it and start it again"
		return f, nil
	}
	return f, &s
}

// port says whether the page's address is free, or the daemon's own.
func (c *doctorCommand) port(running *api.Status) finding {
	f := finding{name: "port", why: "the page, at " + c.Listen}
	if running != nil {
		f.why = "the page, at " + running.Page
		return f
	}
	l, err := net.Listen("tcp", c.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		f.err, f.fix = fmt.Errorf("another program listens on %s", c.Listen), "stop it, or choose another address with `portmaster run --listen`"
		return f
	}
	if err != nil {
		f.err, f.fix = err, "choose another address with `portmaster run --listen`"
		return f
	}
	l.Close()
	return f
}
