package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/link"
	"safing/port17/route"
	"safing/tinker"
)

// directoryPort stands for any that many exits allow: circuits to the directory
// are as others.
const directoryPort = 443

// mostAsked is how many nodes are asked one after the other for a map that is
// valid.
const mostAsked = 4

// dialDirectory connects to the directory of a node: the last one of a circuit
// that has nothing else on it, or, if there can be none yet, an entry.
func (c *Client) dialDirectory(ctx context.Context, newest *netmap.Map) (net.Conn, error) {
	if _, err := c.usable(); err != nil {
		return c.askEntries(ctx, newest)
	}
	target := cell.Target{Directory: true}
	n := need{
		group:   group{level: route.Normal, directory: true},
		target:  target,
		request: route.Request{Destination: netip.AddrPortFrom(netip.Addr{}, directoryPort), Level: route.Normal},
	}
	s, err := c.shared(ctx, n)
	if err != nil { // such as that too few nodes' keys are known
		if conn, failed := c.askEntries(ctx, newest); failed == nil {
			return conn, nil
		}
		return nil, fmt.Errorf("open a route: %w", err)
	}
	return newConn(s, n), nil
}

// askEntries connects to the directory of an entry, which knows who asks in any
// case. If the map has expired, where the entry is and which keys it had is all
// that is believed of it.
func (c *Client) askEntries(ctx context.Context, newest *netmap.Map) (net.Conn, error) {
	ids := c.sample.chosen(c.failures.now())
	for _, i := range rand.Perm(len(newest.Nodes)) { // it may have drawn none yet, or none of them answers
		if n := newest.Nodes[i]; len(ids) < mostAsked && n.Keys != nil && n.Offers(c.config.Wrappings...) {
			ids = append(ids, n.ID)
		}
	}
	var errs []error
	for _, id := range ids {
		n, ok := newest.Node(id)
		if !ok || n.Keys == nil {
			continue
		}
		conn, err := c.askEntry(ctx, n)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, cmp.Or(errors.Join(errs...), ErrNoMap)
}

// askEntry asks once more if the entry sends newer keys than those that are
// known.
func (c *Client) askEntry(ctx context.Context, n netmap.Node) (net.Conn, error) {
	var last error
	for range 2 {
		n = c.newest(group{directory: true}, n)
		at := time.Now()
		if _, err := n.RecipientBy(at, c.policies); err != nil {
			at = n.Keys.Published
		}
		l, err := c.proved(ctx, n, at)
		if err == nil {
			return c.ask(l, n, at)
		}
		last = err
		var retry *tinker.RetryError
		if !errors.As(err, &retry) || !c.learn(group{directory: true}, n, retry.Descriptor) {
			break
		}
	}
	return nil, last
}

// proved makes a link to the node, and returns it once the node has proved who
// it is.
func (c *Client) proved(ctx context.Context, n netmap.Node, at time.Time) (*link.Link, error) {
	ctx, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	proved := make(chan struct{})
	l, err := link.Dial(ctx, n, link.Config{
		Log: c.config.Log, Wrappings: c.config.Wrappings, Policies: c.policies, At: at,
		Authenticated: func(*link.Link) { close(proved) },
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-proved:
		return l, nil
	case <-l.Done():
		return nil, l.Err()
	case <-ctx.Done():
		l.Close()
		<-l.Done()
		return nil, context.Cause(ctx)
	}
}

// ask opens a stream to the directory of the node at the link's other end.
func (c *Client) ask(l *link.Link, n netmap.Node, at time.Time) (net.Conn, error) {
	to, err := n.RecipientBy(at, c.policies)
	if err != nil {
		l.Close()
		return nil, err
	}
	circuit, s, err := circuit.Dial(l, []circuit.Hop{{Node: n, Recipient: to}}, &cell.Target{Directory: true}, nil, nil)
	if err != nil {
		l.Close()
		return nil, err
	}
	return &entryConn{Stream: s, circuit: circuit, link: l}, nil
}

// An entryConn is a stream to an entry's directory, with a link of its own.
type entryConn struct {
	*stream.Stream
	circuit *circuit.Circuit
	link    *link.Link
}

// Close implements net.Conn.
func (c *entryConn) Close() error {
	err := c.Stream.Close()
	c.circuit.Close()
	c.link.Close()
	<-c.link.Done()
	return err
}
