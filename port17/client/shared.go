package client

import (
	"errors"
	"sync"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/link"
	"safing/port17/route"
)

const (
	freshFor   = 10 * time.Minute // after its first one a circuit takes new connections
	idleFor    = 5 * time.Minute  // a circuit without connections is kept
	maxStreams = 200              // connections on one circuit

	// Before a circuit in use takes no more connections, its group gets another.
	handOver = time.Minute
	handOut  = maxStreams * 3 / 4
)

// A shared circuit is for connections of one group. One that was not built
// ahead is planned first, and built with the first connection that has
// something to send.
type shared struct {
	client *Client
	link   *link.Link
	hops   []circuit.Hop
	// crossed is what the links between the hops cross.
	crossed  []*netmap.Crossed
	expected time.Duration // to the exit and back
	made     time.Time     // when it was planned
	// guarded keeps destination and data out of the first flight, which only
	// the nodes' prekeys protect.
	guarded bool
	cover   circuit.Dialer // how it is mixed and padded

	// Guarded by client.mu.
	group group
	// request is the last that it was used for. Of one that was built ahead,
	// and is not used yet, it is what it was built for.
	request route.Request

	mu      sync.Mutex
	circuit *circuit.Circuit
	err     error
	retired bool      // it takes no new connections: a node is about to go
	users   int       // connections that have not ended
	since   time.Time // when it was used first
	asked   time.Time // when it was used last
	idle    time.Time // since when there are no connections
}

func (s *shared) exit() netmap.Node { return s.hops[len(s.hops)-1].Node }

func (s *shared) nodes() []netmap.Node {
	nodes := make([]netmap.Node, len(s.hops))
	for i, h := range s.hops {
		nodes[i] = h.Node
	}
	return nodes
}

// route returns the circuit's nodes, entry first.
func (s *shared) route() []HopInfo {
	hops := make([]HopInfo, len(s.hops))
	for i, h := range s.hops {
		hops[i] = hopInfo(h.Node)
	}
	return hops
}

// fits says whether the exit allows the target.
func (s *shared) fits(t cell.Target) bool {
	if t.Directory {
		return true
	}
	if t.Addr.IsValid() {
		return s.exit().Allows(t.AddrPort())
	}
	return s.exit().Exit.AllowsPort(t.Port)
}

// suitsLocked says whether the circuit does what is needed. The caller holds
// client.mu.
func (s *shared) suitsLocked(n need) bool {
	return s.fits(n.target) && n.request.Met(route.Route{Nodes: s.nodes(), Crossed: s.crossed}) &&
		(!n.request.Unencrypted || s.client.finder == nil || s.client.finder.MayCarryPlain(s.exit()))
}

// use counts a connection, unless the circuit takes no more.
func (s *shared) use() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.freshLocked() {
		return false
	}
	now := time.Now()
	if s.since.IsZero() {
		s.since = now
	}
	s.asked = now
	s.users++
	return true
}

// freshLocked says whether the circuit takes new connections.
func (s *shared) freshLocked() bool {
	return s.err == nil && !s.retired && s.users < maxStreams && s.ageLocked() <= freshFor && s.link.Err() == nil &&
		(s.circuit == nil || s.circuit.Err() == nil)
}

// ageLocked returns for how long the circuit has been used.
func (s *shared) ageLocked() time.Duration {
	if s.since.IsZero() {
		return 0
	}
	return time.Since(s.since)
}

// lasts says whether the circuit takes new connections for a while yet.
func (s *shared) lasts() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.freshLocked() && s.users < handOut && s.ageLocked() < freshFor-handOver
}

// ready says whether the circuit's nodes have replied and it can be used.
func (s *shared) ready() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.circuit == nil || !s.freshLocked() {
		return false
	}
	select {
	case <-s.circuit.Built():
		return true
	default:
		return false
	}
}

// lastAsked returns when the circuit was used last; zero if never.
func (s *shared) lastAsked() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *shared) unuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
	s.idle = time.Now()
}

// retire keeps new connections away. Those that are there go on.
func (s *shared) retire() {
	s.mu.Lock()
	s.retired = true
	s.mu.Unlock()
	s.client.wakePreparer()
}

// heed looks whether a connection has ended because the exit takes no more.
func (s *shared) heed(err error) error {
	var ended *stream.Error
	if errors.As(err, &ended) {
		switch ended.Reason {
		case cell.ShuttingDown:
			s.client.failures.add(s.exit().ID)
			s.retire()
		case cell.TooManyStreams:
			s.retire()
		}
	}
	return err
}

// build creates the circuit without a connection on it.
func (s *shared) build() (*circuit.Circuit, error) {
	s.mu.Lock()
	_, err := s.dialLocked(nil, nil)
	c := s.circuit
	s.mu.Unlock()
	if c == nil {
		s.blame(err)
	}
	return c, err
}

// open opens a stream. The first one builds the circuit.
func (s *shared) open(n need, early []byte) (*stream.Stream, error) {
	s.mu.Lock()
	a := s.askLocked(n, early)
	to, err := s.openLocked(n.target, early)
	c := s.circuit
	s.mu.Unlock()
	if c == nil { // else it has blamed somebody itself
		s.blame(err)
	}
	if err == nil {
		s.await(to, c, a)
	}
	return to, err
}

// openPackets opens an association. Early data is the first datagram.
func (s *shared) openPackets(early []byte) (*stream.Datagrams, error) {
	s.mu.Lock()
	to, err := s.openLocked(cell.Target{UDP: true}, early)
	unbuilt := s.circuit == nil
	var d *stream.Datagrams
	if err == nil {
		d = stream.NewDatagrams(to)
		s.client.running.Go(d.Run)
	}
	s.mu.Unlock()
	if unbuilt {
		s.blame(err)
	}
	return d, err
}

func (s *shared) openLocked(t cell.Target, early []byte) (*stream.Stream, error) {
	if s.circuit == nil {
		target := &t
		if s.guarded {
			target = nil
		}
		if first, err := s.dialLocked(target, early); err != nil || !s.guarded {
			return first, err
		}
	}
	return s.circuit.Open(t, early)
}

// dialLocked creates the circuit.
func (s *shared) dialLocked(target *cell.Target, early []byte) (*stream.Stream, error) {
	if s.err != nil {
		return nil, s.err
	}
	c, first, err := s.cover.Dial(s.link, s.hops, target, early, s.blame)
	if errors.Is(err, link.ErrLegClosed) || err != nil && s.link.Err() != nil {
		err = &circuit.Error{Reason: cell.LinkBroken} // before there was a circuit
	}
	if err != nil {
		s.err = err
		return nil, err
	}
	s.circuit = c
	s.client.running.Go(func() { s.watch(c) })
	return first, nil
}

// watch follows the circuit to its end.
func (s *shared) watch(c *circuit.Circuit) {
	select {
	case <-c.Built():
		for _, h := range s.hops {
			s.client.failures.clear(h.Node.ID)
		}
	case <-c.Done():
	}
	<-c.Done()
	s.client.remove(s)
}

// blame leaves the node out at which the circuit has ended. It is called before
// the connections end, so that whoever tries again gets another route.
func (s *shared) blame(err error) {
	var ended *circuit.Error
	if !errors.As(err, &ended) {
		return
	}
	if s.restarted(ended) {
		s.client.config.Log.Info("a node has restarted", "node", ended.Hop+1)
		return
	}
	at := ended.Hop
	if ended.Reason == cell.NoLink {
		at++ // the node there is not to blame for the one that it can't reach
	}
	if ended.Reason != cell.Expired || time.Since(s.made) < freshFor { // else it was time
		s.client.failures.add(s.hops[min(at, len(s.hops)-1)].Node.ID)
	}
	s.client.config.Log.Info("a circuit has ended", "node", ended.Hop+1, "reason", ended.Reason.String())
}

func (s *shared) close() {
	s.mu.Lock()
	c := s.circuit
	if s.err == nil {
		s.err = ErrClosed
	}
	s.mu.Unlock()
	if c != nil {
		c.Close() // not with mu: others wait for the circuit's end with the client's
	}
}

// over says whether the circuit is of no more use, as it is old, or nobody has
// used it for longer than it is kept. Then nobody uses it again.
func (s *shared) over(kept time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users > 0 || s.freshLocked() && time.Since(s.idle) <= kept {
		return false
	}
	s.retired = true
	return true
}
