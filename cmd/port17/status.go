package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"safing/internal/command"
	"safing/port17/client"
)

type statusCommand struct {
	Socket string `help:"Socket of a running client." default:"/run/port17/client.sock" type:"path" placeholder:"PATH"`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// Run prints how a running client fares, and its circuits.
func (c *statusCommand) Run(ctx context.Context, io command.IO) error {
	var v client.Overview
	s := source{Socket: c.Socket}
	if err := s.ask(ctx, "/v1/status", &v.Status); err != nil {
		return err
	}
	if err := s.ask(ctx, "/v1/circuits", &v.Routes); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(io.Out, v)
	}
	fmt.Fprintf(io.Out, "%s, map %d of %d nodes, valid until %s\n", v.Network, v.Sequence, v.Nodes, v.Until.Local().Format(time.DateTime))
	if v.Problem != "" {
		fmt.Fprintf(io.Out, "no new circuits: %s\n", v.Problem)
	}
	for _, trouble := range v.Canaries {
		fmt.Fprintf(io.Out, "warning: %s\n", trouble)
	}
	fmt.Fprintf(io.Out, "%d circuits in use with %d streams, %d built ahead\n", v.Circuits, v.Streams, v.Ahead)
	if len(v.Routes) == 0 {
		return nil
	}
	fmt.Fprintln(io.Out)
	t := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "APP\tLEVEL\tSTATE\tROUTE\tAGE\tSTREAMS\tRTT\tSENT\tRECEIVED")
	for _, r := range v.Routes {
		var nodes []string
		for _, n := range r.Nodes {
			nodes = append(nodes, n.Name)
		}
		app := r.App
		if app == "" {
			app = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%d kB\t%d kB\n", app, r.Level, r.State, strings.Join(nodes, " > "),
			time.Since(r.Since).Round(time.Second), r.Streams, r.RTT.Round(10*time.Microsecond), r.Sent/1000, r.Received/1000)
	}
	return t.Flush()
}
