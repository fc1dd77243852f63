package main

import (
	"context"
	"errors"
	"net"
	"strings"

	"safing/internal/command"
	"safing/port17/client"
)

// A proxy is a listener and what the routes of its users have to fulfil.
type proxy struct {
	net.Listener
	request client.Request
}

type proxies []proxy

// listenProxies opens a listener for each text that [client.ParseListener]
// reads.
func listenProxies(texts []string) (proxies, error) {
	var all proxies
	for _, text := range texts {
		address, r, err := client.ParseListener(text)
		if err != nil {
			return nil, errors.Join(err, all.close())
		}
		l, err := command.Listen(address, "--socks")
		if err != nil {
			return nil, errors.Join(err, all.close())
		}
		r.App = l.Addr().String()
		all = append(all, proxy{l, r})
	}
	return all, nil
}

// String returns the addresses with commas between them.
func (p proxies) String() string {
	var addresses []string
	for _, one := range p {
		addresses = append(addresses, one.Addr().String())
	}
	return strings.Join(addresses, ",")
}

// serve answers on all until ctx ends or one fails.
func (p proxies) serve(ctx context.Context, c *client.Client) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error)
	for _, one := range p {
		go func() { served <- c.ServeSOCKS(ctx, one, one.request) }()
	}
	var err error
	for range p {
		err = errors.Join(err, <-served)
		stop()
	}
	return err
}

func (p proxies) close() (err error) {
	for _, one := range p {
		err = errors.Join(err, one.Close())
	}
	return err
}
