package node

import (
	"context"
	"errors"
	"net"
	"time"

	"safing/port17/cell"
	"safing/port17/link"
)

func (n *Node) linkConfig(identified bool) link.Config {
	var last *relay // the link's reader owns it
	held := new(share)
	accept := func(back *link.Leg) link.Receiver {
		if last != nil {
			last.interrupt()
		}
		if reason := n.refusal(); reason != 0 {
			last = nil
			back.Close(reason, 0)
			n.ended.circuits.add(reason)
			return refused{}
		}
		if last = n.newRelay(back, held); last == nil {
			return nil
		}
		return last
	}
	c := link.Config{Accept: accept, Descriptor: n.retry, Policies: n.policies, Pool: &n.pool, Log: n.config.Log, SendRate: n.pace.send, ReceiveRate: n.pace.receive}
	if identified {
		c.Identity = n.config.Identity
	}
	return c
}

// accept takes links from a listener.
func (n *Node) accept(ctx context.Context, listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			n.config.Log.Warn("accept a link", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(100 * time.Millisecond): // such as too many open files
			}
			continue
		}
		network, ok := n.clients.take(conn.RemoteAddr())
		if !ok {
			conn.Close()
			n.ended.links.add(cell.Busy)
			continue
		}
		n.running.Go(func() {
			n.serve(ctx, conn)
			n.clients.free(network)
		})
	}
}

// serve answers one connection and waits until its link has ended.
func (n *Node) serve(ctx context.Context, conn net.Conn) {
	c := n.linkConfig(false)
	c.Authenticated = func(l *link.Link) { n.keep(l.Peer(), l) }
	unregister := context.AfterFunc(ctx, func() { conn.Close() })
	defer unregister()
	l, err := link.Accept(conn, n.keys, c)
	if err != nil {
		conn.Close()
		n.config.Log.Debug("a link was refused", "error", err)
		n.ended.links.add(link.Reason(err))
		return
	}
	n.track(ctx, l)
	<-l.Done()
}

// track sees to it that the link ends with the node, and counts why it ended.
func (n *Node) track(ctx context.Context, l *link.Link) {
	n.mu.Lock()
	n.links[l] = true
	n.mu.Unlock()
	if ctx.Err() != nil {
		l.Close() // Close may not have seen it
	}
	n.running.Go(func() {
		<-l.Done()
		n.forget(l)
	})
}
