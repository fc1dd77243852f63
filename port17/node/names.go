package node

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"safing/port17/cell"
)

const (
	nameTime     = 30 * time.Second // for which an association remembers an address
	maxNames     = 64               // that it remembers
	maxLookups   = 4                // of one association at a time
	exitLookups  = 256              // of all associations
	lookupMemory = 64 << 10         // bytes of datagrams that wait for one
)

// names looks up where the datagrams of an association go to.
type names struct {
	ctx     context.Context
	exit    *exit
	deliver func(addresses []netip.Addr, port uint16, p []byte)
	running sync.WaitGroup

	mu      sync.Mutex
	known   map[string]*name
	lookups int
}

type name struct {
	until     time.Time // zero while it is looked up
	addresses []netip.Addr
	waiting   []queued
	bytes     int // of waiting
}

// queued is a datagram whose target is being looked up.
type queued struct {
	port uint16
	data []byte
}

func (n *names) start(ctx context.Context, e *exit, deliver func([]netip.Addr, uint16, []byte)) {
	n.ctx, n.exit, n.deliver = ctx, e, deliver
	n.known = make(map[string]*name)
}

// wait returns when nothing is looked up any more. The context has ended.
func (n *names) wait() { n.running.Wait() }

// send delivers a datagram, now or when its target has been looked up.
func (n *names) send(to cell.Target, p []byte) {
	n.mu.Lock()
	known := n.known[to.Host]
	if known != nil && !known.until.IsZero() && time.Now().After(known.until) {
		delete(n.known, to.Host)
		known = nil
	}
	if known != nil && !known.until.IsZero() {
		n.mu.Unlock()
		n.deliverAll(known, []queued{{to.Port, p}})
		return
	}
	defer n.mu.Unlock()
	if known == nil {
		if known = n.lookUpLocked(to.Host); known == nil {
			n.exit.drop(dropName)
			return
		}
	}
	if known.bytes+len(p) > lookupMemory || len(known.waiting) == cap(known.waiting) {
		n.exit.drop(dropName)
		return
	}
	known.bytes += len(p)
	known.waiting = append(known.waiting, queued{to.Port, append([]byte(nil), p...)})
}

// lookUpLocked begins to look a name up, unless too many are.
func (n *names) lookUpLocked(host string) *name {
	if n.lookups == maxLookups {
		return nil
	}
	select {
	case n.exit.lookups <- struct{}{}:
	default:
		return nil
	}
	if len(n.known) >= maxNames {
		for other, k := range n.known {
			if !k.until.IsZero() {
				delete(n.known, other)
			}
		}
	}
	k := &name{waiting: make([]queued, 0, 16)}
	n.known[host] = k
	n.lookups++
	n.running.Go(func() {
		addresses, _ := n.exit.lookup(n.ctx, host) // no address is an answer too
		<-n.exit.lookups
		n.mu.Lock()
		k.until, k.addresses = time.Now().Add(nameTime), addresses[:min(len(addresses), maxAddresses)]
		waiting := k.waiting
		k.waiting = nil
		n.lookups--
		n.mu.Unlock()
		n.deliverAll(k, waiting)
	})
	return k
}

// deliverAll delivers datagrams to a name that has been looked up.
func (n *names) deliverAll(k *name, all []queued) {
	for _, q := range all {
		if len(k.addresses) == 0 {
			n.exit.drop(dropName)
			continue
		}
		n.deliver(k.addresses, q.port, q.data)
	}
}
