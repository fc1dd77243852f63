package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"safing/netmap"
	"safing/port17/link"
	"safing/port17/link/wrap"
	"safing/tinker"
)

// A Way is how a link to a node can be made.
type Way struct {
	netmap.Entrance
	Took time.Duration // until the node had proved its identity
	Err  error         // nil if it has
}

// String returns the way and what became of it, for people to read.
func (w Way) String() string {
	if w.Err != nil {
		return fmt.Sprintf("%s: %v", w.Entrance, w.Err)
	}
	return fmt.Sprintf("%s in %s", w.Entrance, w.Took.Round(time.Millisecond))
}

// Reachable says whether nodes and clients can link to the node: all its plain
// addresses of IPv4 answer, or all of IPv6. One family is enough, as neither
// everybody who links nor every authority has both; within it all have to answer,
// as who links tries them in turn and loses time with each that does not. A
// broken entrance says nothing about the node: a client takes another one.
func (r Result) Reachable() bool {
	var answered, silent [2]bool
	for _, w := range r.Ways {
		if w.Wrapping == netmap.TCP {
			answered[w.family()] = answered[w.family()] || w.Err == nil
			silent[w.family()] = silent[w.family()] || w.Err != nil
		}
	}
	return answered[0] && !silent[0] || answered[1] && !silent[1]
}

// family is 0 for IPv4 and 1 for IPv6.
func (w Way) family() int {
	if w.Addr.Addr().Is4() {
		return 0
	}
	return 1
}

// untold says whether no plain address could be tried from here.
func (r Result) untold() bool {
	for _, w := range r.Ways {
		if w.Wrapping == netmap.TCP && !isOurs(w.Err) {
			return false
		}
	}
	return true
}

// isOurs says whether this machine lacks a way to all addresses of the family.
func isOurs(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// reach tries all ways to the node at once. A descriptor has 16 at most.
func (p *Prober) reach(ctx context.Context, n netmap.Node) []Way {
	var ways []Way
	for _, in := range []netmap.Wrapping{netmap.TCP, netmap.QUIC, netmap.TLS} {
		for _, e := range n.Ways(in) {
			ways = append(ways, Way{Entrance: e})
		}
	}
	var trying sync.WaitGroup
	for i := range ways {
		trying.Go(func() {
			begun := time.Now()
			ways[i].Err = p.link(ctx, n, ways[i].Entrance)
			ways[i].Took = time.Since(begun)
		})
	}
	trying.Wait()
	return ways
}

// link makes a link, as a client does, and ends it once the node has proved its
// identity. A node with newer keys than ours proves it with those: what it has
// signed could be repeated by anybody.
func (p *Prober) link(ctx context.Context, n netmap.Node, e netmap.Entrance) error {
	to, err := n.Recipient(time.Now())
	if err != nil {
		return err
	}
	err = p.prove(ctx, n.ID, e, to)
	var newer *tinker.RetryError
	if !errors.As(err, &newer) {
		return err
	}
	k, err := netmap.OpenKeys(newer.Descriptor)
	switch {
	case err != nil:
		return err
	case k.ID != n.ID:
		return fmt.Errorf("it has the keys of node %s", k.ID.Short())
	case k.Binding != n.Binding():
		return errors.New("it has another descriptor than the one it has published: it was restarted, and has to publish again")
	}
	if to.Prekey, err = k.Prekey(time.Now()); err != nil {
		return err
	}
	return p.prove(ctx, n.ID, e, to)
}

func (p *Prober) prove(ctx context.Context, id netmap.NodeID, e netmap.Entrance, to tinker.Recipient) error {
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	return Prove(ctx, id, e, to)
}

// Prove makes a link to a node, as a client does, and ends it once the node has
// proved its identity. The error wraps a [*tinker.RetryError] if it has other
// prekeys than to.
func Prove(ctx context.Context, id netmap.NodeID, e netmap.Entrance, to tinker.Recipient) error {
	conn, err := wrap.Dial(ctx, id, e)
	if err != nil {
		return err
	}
	proved := make(chan struct{})
	l, err := link.Initiate(conn, id, to, link.Config{Authenticated: func(*link.Link) { close(proved) }})
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	defer func() {
		l.Close()
		<-l.Done()
	}()
	select {
	case <-proved:
		return nil
	case <-l.Done():
		return l.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
