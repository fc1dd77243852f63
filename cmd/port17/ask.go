package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"safing/internal/command"
	"safing/netmap"
	"safing/port17/client"
	"safing/port17/directory"
	"safing/port17/route"
)

const askTimeout = 10 * time.Second

// source is where the map comes from: a running client, or the authority.
type source struct {
	Socket  string `help:"Socket of a running client." default:"/run/port17/client.sock" type:"path" placeholder:"PATH"`
	Network string `help:"Ask no client but the authority of this network's file." type:"existingfile" placeholder:"FILE"`
	JSON    bool   `help:"Print JSON." name:"json"`
}

// ask gets the answer of a running client.
func (s source) ask(ctx context.Context, path string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", s.Socket)
	}}}
	defer c.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://client"+path, nil)
	if err != nil {
		return err
	}
	response, err := c.Do(request)
	if err != nil {
		var at *net.OpError
		if errors.As(err, &at) {
			return fmt.Errorf("no client answers at %s: start one with port17 client, or name its socket with --socket", s.Socket)
		}
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
		return errors.New(strings.TrimSpace(string(text)))
	}
	return json.NewDecoder(response.Body).Decode(v)
}

// fetch gets the map from the authority.
func (s source) fetch(ctx context.Context) (*netmap.Map, error) {
	network, err := netmap.LoadNetwork(s.Network)
	if err != nil {
		return nil, err
	}
	return directory.New(directory.Config{Network: network}).Fetch(ctx)
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

type mapCommand struct {
	source
}

// Run prints the map.
func (c *mapCommand) Run(ctx context.Context, io command.IO) error {
	var v client.MapView
	if c.Network != "" {
		m, err := c.fetch(ctx)
		if err != nil {
			return err
		}
		v = client.ViewMap(m)
	} else if err := c.ask(ctx, "/v1/map", &v); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(io.Out, v)
	}
	fmt.Fprintf(io.Out, "%s, map %d, valid until %s\n\n", v.Network, v.Sequence, v.ValidUntil.Local().Format(time.DateTime))
	t := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tID\tOWNER\tCOUNTRY\tADDRESS\tLINKS\tEXIT")
	for _, n := range v.Nodes {
		exit := strings.Join(n.Exit, ", ")
		if exit == "" {
			exit = "-"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", n.Name, n.ID.Short(), n.Owner, n.Country, strings.Join(slices.Concat(n.Addresses, n.Entrances), " "), len(n.Links), exit)
	}
	return t.Flush()
}

type routeCommand struct {
	source
	Destination string      `arg:"" help:"Where to, as HOST:PORT; without a port, 443."`
	App         string      `help:"The application that connects." placeholder:"NAME"`
	Level       route.Level `help:"How tough the route is: normal, high or extreme." default:"normal"`
}

// Run prints the route.
func (c *routeCommand) Run(ctx context.Context, io command.IO) error {
	destination, err := withPort(c.Destination)
	if err != nil {
		return err
	}
	v, err := c.find(ctx, destination)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(io.Out, v)
	}
	fmt.Fprintf(io.Out, "to %s, about %s to the exit and back\n\n", v.Destination, v.Cost.Round(10*time.Microsecond))
	t := tabwriter.NewWriter(io.Out, 0, 0, 2, ' ', 0)
	for i, h := range v.Route {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", i+1, h.Name, h.ID.Short(), h.Owner, h.Country)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(io.Out, "\ndrawn from the fastest of these:\n")
	for _, candidate := range v.Candidates {
		mark := " "
		if candidate.Chosen {
			mark = "*"
		}
		fmt.Fprintf(io.Out, "%s %-40s %s\n", mark, strings.Join(candidate.Nodes, " > "), candidate.Cost.Round(10*time.Microsecond))
	}
	for _, e := range v.Excluded {
		fmt.Fprintf(io.Out, "%s: %d nodes\n", e.Reason, e.Nodes)
	}
	return nil
}

func (c *routeCommand) find(ctx context.Context, destination string) (v client.RouteView, err error) {
	if c.Network == "" {
		q := url.Values{"destination": {destination}, "app": {c.App}, "level": {c.Level.String()}}
		return v, c.ask(ctx, "/v1/route?"+q.Encode(), &v)
	}
	m, err := c.fetch(ctx)
	if err != nil {
		return v, err
	}
	host, port, err := net.SplitHostPort(destination)
	if err != nil {
		return v, err
	}
	addr, _ := netip.ParseAddr(host) // not valid for a name
	number, _ := strconv.ParseUint(port, 10, 16)
	e, err := route.New(m).Explain(route.Request{Destination: netip.AddrPortFrom(addr, uint16(number)), Level: c.Level})
	if err != nil {
		return v, err
	}
	return client.ViewRoute(destination, e), nil
}

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
