package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"safing/netmap"
	"safing/port17/directory"
)

const askTimeout = 10 * time.Second

// source is where the map comes from: a running client, or the network.
type source struct {
	Socket  string `help:"Socket of a running client." default:"/run/port17/client.sock" type:"path" placeholder:"PATH"`
	Network string `help:"Ask no client but the authorities and mirrors of this network's file." type:"existingfile" placeholder:"FILE"`
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
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("the client at %s has not answered within %s", s.Socket, askTimeout)
		}
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound && response.Header.Get("Content-Type") == "application/json" {
		var none noRouteError
		if err := json.NewDecoder(response.Body).Decode(&none.NoRouteView); err != nil {
			return err
		}
		return &none
	}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1024))
		return errors.New(strings.TrimSpace(string(text)))
	}
	return json.NewDecoder(response.Body).Decode(v)
}

// fetch gets the map from the network.
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
