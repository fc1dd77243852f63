package node_test

import (
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/directory"
	"safing/port17/link"
	"safing/port17/node"
	"safing/port17/testnet"
	"safing/tinker"
)

// A hostile node is on the map, has links to all others, and does what nodes do,
// but for what its manglers do to the cells of circuits. It is made of the
// protocol's parts, and of nothing that nodes are.
type hostile struct {
	t      *testing.T
	key    ed25519.PrivateKey
	keys   *tinker.Prekeys
	public netmap.Node
	pool   cell.Pool

	mu      sync.Mutex
	running sync.WaitGroup
	links   map[netmap.NodeID]*link.Link
	all     []*link.Link
	deeds   deeds // of the circuits that come
}

// A mangler says what is sent instead of a payload. The first is number 0.
type mangler func(i int, payload []byte) [][]byte

// deeds are what is done to a circuit. Nil is nothing.
type deeds struct {
	create            func(burst []byte) [][]byte // to the burst for the next node
	forward, backward mangler
	serve             func(*captive) // instead of being an exit that echoes
}

// join makes a hostile node part of the network.
func join(t *testing.T, n *testnet.Network) *hostile {
	t.Helper()
	h := &hostile{t: t, links: make(map[netmap.NodeID]*link.Link)}
	var id ed25519.PublicKey
	var err error
	if id, h.key, err = ed25519.GenerateKey(nil); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.77.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.public.Descriptor = &netmap.Descriptor{
		ID: netmap.NodeID(id), Name: "hostile", Owner: "somebody", Country: "DE", Version: node.Version,
		Addresses: []netip.AddrPort{listener.Addr().(*net.TCPAddr).AddrPort()}, Published: time.Now().UTC().Truncate(time.Second),
	}
	if h.keys, err = tinker.NewPrekeys(tinker.PrekeyConfig{Identity: h.public.ID, Binding: h.public.Binding()}); err != nil {
		t.Fatal(err)
	}
	h.public.Keys = &netmap.Keys{ID: h.public.ID, Binding: h.public.Binding(), Prekeys: h.keys.Public(), Published: h.public.Published}
	signed, err := h.public.Sign(h.key)
	if err != nil {
		t.Fatal(err)
	}
	signedKeys, err := h.public.Keys.Sign(h.key)
	if err != nil {
		t.Fatal(err)
	}
	h.running.Go(func() { h.listen(listener) })
	t.Cleanup(func() { h.leave(listener) })
	c := directory.New(directory.Config{Network: n.Trust})
	if err := errors.Join(c.Publish(t.Context(), signed), c.PublishKeys(t.Context(), signedKeys)); err != nil {
		t.Fatal(err)
	}
	for i := range n.Nodes {
		h.reach(n, i)
	}
	return h
}

func (h *hostile) listen(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		h.running.Go(func() {
			l, err := link.Accept(conn, h.keys, h.config())
			if err != nil {
				conn.Close()
				return
			}
			h.mu.Lock()
			h.all = append(h.all, l)
			h.mu.Unlock()
			<-l.Done()
		})
	}
}

func (h *hostile) config() link.Config {
	return link.Config{Identity: h.key, Accept: h.accept, Pool: &h.pool, Authenticated: func(l *link.Link) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.links[l.Peer()] = l
	}}
}

// reach links to a node, and waits until that would extend circuits to here.
func (h *hostile) reach(n *testnet.Network, i int) {
	h.t.Helper()
	l, hops := n.Route(h.t, i)
	own, err := link.Dial(h.t.Context(), hops[0].Node, h.config())
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	h.links[n.Nodes[i].ID()] = own
	h.all = append(h.all, own)
	h.mu.Unlock()
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, _, err := circuit.Dial(l, append(hops, h.hop()), nil, nil, nil)
		if err != nil {
			h.t.Fatal(err)
		}
		select {
		case <-c.Built():
			c.Close()
			return
		case <-c.Done():
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("node %d does not extend circuits: %v", i, c.Err())
		}
		<-time.After(10 * time.Millisecond)
	}
}

func (h *hostile) hop() circuit.Hop {
	h.t.Helper()
	to, err := h.public.Recipient(time.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	return circuit.Hop{Node: h.public, Recipient: to}
}

func (h *hostile) leave(listener net.Listener) {
	listener.Close()
	h.mu.Lock()
	all := h.all
	h.mu.Unlock()
	for _, l := range all {
		l.Close()
		<-l.Done()
	}
	h.running.Wait()
}

// do sets what happens to the next circuits.
func (h *hostile) do(d deeds) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deeds = d
}

func (h *hostile) accept(back *link.Leg) link.Receiver {
	h.mu.Lock()
	defer h.mu.Unlock()
	return &captive{hostile: h, back: back, deeds: h.deeds}
}

// A captive is a circuit in the hands of a hostile node.
type captive struct {
	*hostile
	deeds deeds
	back  *link.Leg

	// Owned by the reader of the origin's side, until the burst is there.
	burst    []byte
	position int
	onion    *tinker.Relay

	legs   sync.Mutex
	mux    *stream.Mux // exits only
	next   *link.Leg   // others only
	before []*link.Leg // if more than one was opened

	passed, returned int
	sealing          sync.Mutex
}

// Receive implements link.Receiver for the origin's side.
func (c *captive) Receive(cells []byte) {
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		payload := cells[cell.HeaderSize:cell.Size]
		if c.onion == nil {
			c.burst = append(c.burst, payload...)
			if size, err := cell.ParseBurst(c.burst); err != nil || len(c.burst) == size && !c.begin() {
				c.end(cell.BadHello)
				return
			}
			continue
		}
		b := c.pool.Get()
		typ, content, err := c.onion.Open(b[cell.HeaderSize-1:], payload)
		switch {
		case err != nil:
			c.pool.Put(b)
			c.end(cell.Altered)
			return
		case typ == tinker.LayerLocal && c.mux != nil:
			c.mux.Receive(b, cell.HeaderSize, cell.HeaderSize+len(content)) //nolint:errcheck // the origin is not hostile
			continue
		case typ == tinker.LayerRelay && c.mux == nil:
			c.send(c.next, c.deeds.forward, &c.passed, b[cell.HeaderSize:])
		}
		c.pool.Put(b)
	}
}

// Closed implements link.Receiver.
func (c *captive) Closed(reason cell.Reason, _ uint8) { c.end(reason) }

func (c *captive) end(reason cell.Reason) {
	c.back.Close(reason, 0)
	c.legs.Lock()
	next, before, mux := c.next, c.before, c.mux
	c.legs.Unlock()
	if next != nil {
		before = append(before, next)
	}
	for _, g := range before {
		g.Close(reason, 0)
	}
	if mux != nil {
		mux.Close(io.ErrUnexpectedEOF)
	}
}

// begin answers the hello.
func (c *captive) begin() bool {
	hello, err := cell.ParseHello(c.burst)
	if err != nil {
		return false
	}
	r, err := c.keys.Respond(circuit.Label, hello)
	if err != nil {
		return false
	}
	p, rest, err := cell.ParseParameters(r.Payload)
	if err != nil {
		return false
	}
	c.position = p.Position
	c.onion = tinker.NewRelay(r.Session, cell.PayloadSize, p.Position, nil)
	reply := c.pool.Get()
	copy(reply[cell.HeaderSize:], r.Reply)
	c.push(c.back, cell.Created, reply)
	if p.Exit {
		c.exit(rest)
		return true
	}
	burst := make([]byte, len(c.burst))
	place, _ := cell.PutHello(burst, len(rest))
	copy(place, rest)
	bursts := [][]byte{burst}
	if c.deeds.create != nil {
		bursts = c.deeds.create(burst)
	}
	c.mu.Lock()
	l := c.links[p.Next]
	c.mu.Unlock()
	c.legs.Lock()
	defer c.legs.Unlock()
	for _, b := range bursts {
		if c.next != nil {
			c.before = append(c.before, c.next)
		}
		if c.next, err = l.Open((*behind)(c), circuit.Cells(b, &c.pool)); err != nil {
			return false
		}
	}
	return true
}

// exit serves the circuit's streams: they get back what they send.
func (c *captive) exit(first []byte) {
	mux := stream.New(stream.Config{
		Pool: &c.pool, Start: cell.HeaderSize + 1, Size: cell.ContentSize(c.position),
		Accept: func(s *stream.Stream, _ cell.Target) {
			c.running.Go(func() {
				io.Copy(s, s) //nolint:errcheck // the origin tells
				s.Close()
			})
		},
		Send: func(cells []*cell.Buf) error {
			for _, b := range cells {
				c.seal(b[cell.HeaderSize:], tinker.LayerLocal)
			}
			c.pool.PutAll(cells)
			return nil
		},
	})
	c.legs.Lock()
	c.mux = mux
	c.legs.Unlock()
	mux.Ready()
	mux.ReceiveFirst(first) //nolint:errcheck // the origin is not hostile
	if c.deeds.serve != nil {
		c.deeds.serve(c)
	}
}

// frames sends the origin frames as they are given.
func (c *captive) frames(frames ...cell.Frame) {
	var content []byte
	for _, f := range frames {
		content = f.Append(content)
	}
	payload := make([]byte, cell.PayloadSize)
	copy(payload[1:], content)
	c.seal(payload, tinker.LayerLocal)
}

// seal sends something of the exit's own.
func (c *captive) seal(payload []byte, typ byte) {
	c.sealing.Lock()
	defer c.sealing.Unlock()
	if c.onion.SealOwn(payload, typ, nil) == nil {
		c.send(c.back, c.deeds.backward, &c.returned, payload)
	}
}

// send sends what the mangler makes of a payload.
func (c *captive) send(leg *link.Leg, m mangler, number *int, payload []byte) {
	all := [][]byte{payload}
	if m != nil {
		all = m(*number, payload)
	}
	*number++
	for _, p := range all {
		b := c.pool.Get()
		copy(b[cell.HeaderSize:], p)
		c.push(leg, cell.Relay, b)
	}
}

func (c *captive) push(leg *link.Leg, command cell.Command, b *cell.Buf) {
	if leg.Push(command, b) != nil { // the circuit has ended
		c.pool.Put(b)
	}
}

// behind receives from the next node.
type behind captive

// Receive implements link.Receiver.
func (w *behind) Receive(cells []byte) {
	c := (*captive)(w)
	c.sealing.Lock()
	defer c.sealing.Unlock()
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		payload := make([]byte, cell.PayloadSize)
		if c.onion.Seal(payload, cells[cell.HeaderSize:cell.Size]) == nil {
			c.send(c.back, c.deeds.backward, &c.returned, payload)
		}
	}
}

// Closed implements link.Receiver.
func (w *behind) Closed(reason cell.Reason, distance uint8) {
	w.back.Close(reason, distance+1)
	(*captive)(w).end(reason)
}
