package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/client"
	"safing/port17/route"
)

type routeCommand struct {
	source
	File         string      `help:"Read the map from this file, and ask nobody; with --network." type:"existingfile" placeholder:"MAP"`
	Destination  string      `arg:"" help:"Where to, as HOST:PORT; without a port, 443."`
	App          string      `help:"The application that connects." placeholder:"NAME"`
	Level        route.Level `help:"How tough the route is: ${enum}." enum:"normal,high,extreme" default:"normal"`
	Nodes        int         `help:"At least so many nodes, 3 to 6." placeholder:"N"`
	Exit         []string    `help:"The exit is this node, or one of several." placeholder:"ID"`
	ExitCountry  []string    `help:"The exit is in this country, or in one of several." placeholder:"CODE"`
	AvoidExit    []string    `help:"The exit is another node." placeholder:"ID"`
	AvoidCountry []string    `help:"No node is in this country, and no link crosses it." placeholder:"CODE"`
	AvoidAS      []string    `name:"avoid-as" help:"No node is in this network, and no link crosses it." placeholder:"N"`
	Unencrypted  bool        `help:"The exit can read what is sent, so it has to be a trusted one if there are any. That is taken for granted of ports such as 80."`
}

// Run prints the route.
func (c *routeCommand) Run(ctx context.Context, io command.IO) error {
	destination, err := withPort(c.Destination)
	if err != nil {
		return err
	}
	q := c.query(destination)
	v, err := c.find(ctx, q)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(io.Out, v)
	}
	return printRoute(io.Out, v)
}

// query returns the parameters that client.ParseQuery reads.
func (c *routeCommand) query(destination string) url.Values {
	q := url.Values{
		"destination": {destination}, "exit": c.Exit, "exit-country": c.ExitCountry, "avoid-exit": c.AvoidExit,
		"avoid-country": c.AvoidCountry, "avoid-as": c.AvoidAS, "level": {c.Level.String()},
	}
	if c.App != "" {
		q.Set("app", c.App)
	}
	if c.Nodes != 0 {
		q.Set("nodes", strconv.Itoa(c.Nodes))
	}
	if c.Unencrypted {
		q.Set("unencrypted", "true")
	}
	return q
}

// find asks a client, or finds the route on a map without one.
func (c *routeCommand) find(ctx context.Context, q url.Values) (v client.RouteView, err error) {
	if c.Network == "" {
		if c.File != "" {
			return v, errors.New("--file: name the network's file too, with --network: it says who signs the map")
		}
		return v, c.ask(ctx, "/v1/route?"+q.Encode(), &v)
	}
	r, err := client.ParseQuery(q)
	if err != nil {
		return v, err
	}
	request, err := r.Route()
	if err != nil {
		return v, err
	}
	m, err := c.load(ctx)
	if err != nil {
		return v, err
	}
	request.WithoutKeys = true
	e, err := route.New(m).Explain(request)
	var none *route.NoRouteError
	if errors.As(err, &none) {
		return v, &noRouteError{client.ViewNoRoute(none, e)}
	}
	return client.ViewRoute(q.Get("destination"), e), err
}

// load reads the map from its file, or gets it from the network.
func (c *routeCommand) load(ctx context.Context) (*netmap.Map, error) {
	if c.File == "" {
		return c.fetch(ctx)
	}
	network, err := netmap.LoadNetwork(c.Network)
	if err != nil {
		return nil, err
	}
	signed, err := readMap(c.File)
	if err != nil {
		return nil, err
	}
	m, err := network.Verify(signed, time.Now())
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", c.File, err)
	}
	return m, nil
}

// A noRouteError names the options to drop.
type noRouteError struct{ client.NoRouteView }

// options are those of route, by the constraint that they set.
var options = map[string]string{
	"AvoidCountries": "--avoid-country", "AvoidASNs": "--avoid-as", "ExitCountries": "--exit-country", "Exits": "--exit",
	"AvoidExits": "--avoid-exit", "Nodes": "--nodes", "Level": "--level", "Unencrypted": "this", "Exclude": "this", "Entries": "this",
	"Delay": "the client's --delay", "Padding": "the client's --shape",
}

// Error implements error.
func (e *noRouteError) Error() string {
	text := e.NoRouteView.Error
	if len(e.Relaxed) > 0 {
		text = fmt.Sprintf("no route of %d nodes to %s %s", e.Nodes, e.Destination, route.Relaxations(e.Relaxed, func(c string) string { return options[c] }))
	}
	var excluded []string
	for _, x := range e.Excluded {
		excluded = append(excluded, excludedText(x))
	}
	if len(excluded) > 0 {
		text += "; " + strings.Join(excluded, "; ")
	}
	return text
}

// excludedText says which nodes a route could not have, and why.
func excludedText(e route.Exclusion) string {
	what, nodes, names := "not used", "nodes", strings.Join(e.Names, ", ")
	if e.Exit {
		what = "not used as exit"
	}
	if e.Nodes == 1 {
		nodes = "node"
	}
	if len(e.Names) < e.Nodes {
		names += ", …"
	}
	return fmt.Sprintf("%s: %s: %d %s (%s)", what, e.Reason, e.Nodes, nodes, names)
}

func printRoute(out io.Writer, v client.RouteView) error {
	fmt.Fprintf(out, "to %s, about %s there and back\n", v.Destination, round(v.Cost))
	if v.Last != nil {
		fmt.Fprintf(out, "it was in %s %s ago, as the exit %s said\n", placeText(*v.Last), time.Since(v.Last.At).Round(time.Second), v.Last.Exit)
	}
	fmt.Fprintln(out)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, h := range v.Route {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", i+1, h.Name, h.ID.Short(), h.Owner, h.Country)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\ndrawn from these:\n")
	t = tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tCOST\tENTRY\tLINKS\tLOAD\tEXIT\tNETWORKS\t  NODES")
	for _, c := range v.Candidates {
		mark := ""
		if c.Chosen {
			mark = "*"
		}
		p, exit := c.Parts, "unknown"
		if c.Parts.Exit > 0 {
			exit = round(c.Parts.Exit).String()
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t  %s\n", mark, round(c.Cost), round(p.Entry), round(p.Links), round(p.Load), exit, round(p.Networks), strings.Join(c.Nodes, " > "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(v.Excluded) > 0 {
		fmt.Fprintln(out)
	}
	for _, e := range v.Excluded {
		fmt.Fprintln(out, excludedText(e))
	}
	return nil
}

func placeText(p client.LastPlace) string {
	switch {
	case p.ASN == 0:
		return p.Country
	case p.Country == "":
		return fmt.Sprintf("AS%d", p.ASN)
	}
	return fmt.Sprintf("%s, AS%d", p.Country, p.ASN)
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// withPort adds the port that is most used, and checks the one there is.
func withPort(destination string) (string, error) {
	host, port, err := net.SplitHostPort(destination)
	if err != nil {
		host, port = strings.Trim(destination, "[]"), "443"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return "", fmt.Errorf("destination %q: write it like example.org:443 or 192.0.2.1:80", destination)
	}
	return net.JoinHostPort(host, port), nil
}
