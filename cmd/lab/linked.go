package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"time"

	"safing/port17/client"
)

const (
	leastLinks = 3 // of a node, where there are as many others
	lookEvery  = 200 * time.Millisecond
)

// awaitLinks waits until the first client's map has all nodes, each with links to
// some others: there are other ways then if a node is ended.
func (n *network) awaitLinks(ctx context.Context, nodes int) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	c := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", n.socket)
	}}}
	defer c.CloseIdleConnections()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		linked, err := countLinked(ctx, &c, min(leastLinks, nodes-1))
		if err == nil && linked >= nodes {
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for links: %d of %d nodes have enough on the map: %w", linked, nodes, ctx.Err())
		}
	}
}

// countLinked returns how many nodes have so many links on the client's map.
func countLinked(ctx context.Context, c *http.Client, links int) (linked int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://client/v1/map", nil)
	if err != nil {
		return 0, err
	}
	response, err := c.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var m client.MapView
	if err := json.NewDecoder(response.Body).Decode(&m); err != nil {
		return 0, err
	}
	for _, node := range m.Nodes {
		if len(node.Links) >= links {
			linked++
		}
	}
	return linked, nil
}
