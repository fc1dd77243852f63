package circuit

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"safing/port17/cell"
	"safing/port17/circuit/stream"
	"safing/port17/link"
	"safing/port17/shape"
	"safing/tinker"
	"safing/tinker/policy"
)

// replyTimeout is how long a circuit waits for the nodes' replies.
const replyTimeout = 20 * time.Second

// ErrClosed is the error of a circuit that its origin closed.
var ErrClosed = errors.New("circuit: closed")

// A Circuit leads through several nodes. It ends when either end or a node on
// the way ends it.
type Circuit struct {
	hops     []Hop
	position int // the first hop's place among the layers
	pool     *cell.Pool
	policies *policy.Policies // those of the link; nil if it has none
	mux      *stream.Mux
	begun    time.Time

	// Owned by the link's reader until all nodes have replied; then sealing
	// belongs to whoever holds the mux's turn to send.
	handshakes []*tinker.Initiator
	onion      *tinker.Onion
	sessions   []*tinker.Session

	receiving sync.Mutex // held while cells are opened
	sealing   sync.Mutex // held while cells are sealed and queued
	padding   *padding   // nil if cells leave as they come
	renewal   renewal
	lost      bool // cells could not be sent, so none behind them opens

	// opening is held while the leg is being opened: the link's reader may
	// call before Open has returned.
	opening sync.Mutex
	leg     *link.Leg
	timeout *time.Timer

	sent, received atomic.Uint64 // bytes in cells, without the burst

	ended  func(error)
	ending sync.Once
	err    error
	done   chan struct{}
	built  chan struct{}
	rtt    time.Duration // set before built is closed
}

// Dial sends what creates a circuit through the hops, the first of which is at
// the other side of the link, and does not wait for an answer. If first is not
// nil, the exit is asked to connect a stream to it, and early data, of which
// there may be [stream.MaxEarly] bytes, goes along as far as there is room.
//
// If ended is not nil, it is called when the circuit has ended, before its
// streams learn of it. It must not block nor call the circuit.
func Dial(l *link.Link, hops []Hop, first *cell.Target, early []byte, ended func(error)) (*Circuit, *stream.Stream, error) {
	return Dialer{}.Dial(l, hops, first, early, ended)
}

// A Dialer dials circuits whose cells are mixed and padded. The zero value is
// Dial's.
type Dialer struct {
	// Delay is the mean of the delays at each hop in each direction, to the
	// millisecond and up to what the nodes offer; 0 for none.
	Delay time.Duration
	// Shape is how the origin pads, and a node in the middle towards it, within
	// what that offers; but for a shape of one's own, which only the origin
	// knows. Padding begins once all nodes have replied.
	Shape shape.Shape
}

// Dial is the function of that name, for circuits that are mixed and padded.
func (d Dialer) Dial(l *link.Link, hops []Hop, first *cell.Target, early []byte, ended func(error)) (*Circuit, *stream.Stream, error) {
	if err := d.Validate(); err != nil {
		return nil, nil, err
	}
	c := &Circuit{
		hops: hops, pool: l.Pool(), policies: l.Policies(), begun: time.Now(), ended: ended,
		done: make(chan struct{}), built: make(chan struct{}),
	}
	if d.Shape.Kind != shape.None {
		c.padding = &padding{shape: d.Shape}
	}
	s, burst, err := c.build(d, first, early)
	if err != nil {
		return nil, nil, err
	}
	c.opening.Lock()
	// The replies wait at the nodes, too: twice as long as on the average is rare.
	c.timeout = time.AfterFunc(replyTimeout+2*d.roundTrip(len(hops)), func() { c.fail(&Error{Reason: cell.TimedOut, Hop: 0}, cell.Finished) })
	c.leg, err = l.Open(c, burst)
	c.opening.Unlock()
	if err != nil {
		c.timeout.Stop()
		c.pool.PutAll(burst)
		c.forget()
		return nil, nil, fmt.Errorf("create circuit: %w", err)
	}
	return c, s, nil
}

func (c *Circuit) out() *link.Leg {
	c.opening.Lock()
	defer c.opening.Unlock()
	return c.leg
}

// Open opens a stream to the target and sends early data with it. It does not
// wait for the exit.
func (c *Circuit) Open(t cell.Target, early []byte) (*stream.Stream, error) {
	return c.mux.Open(t, early)
}

// Hops returns the circuit's nodes, entry first.
func (c *Circuit) Hops() []Hop { return c.hops }

// Streams returns how many streams are open.
func (c *Circuit) Streams() int { return c.mux.Streams() }

// Bytes returns how much has gone through the circuit, as cells.
func (c *Circuit) Bytes() (sent, received uint64) { return c.sent.Load(), c.received.Load() }

// Built is closed when all nodes have replied.
func (c *Circuit) Built() <-chan struct{} { return c.built }

// RTT returns how long the last node's reply took; 0 before Built.
func (c *Circuit) RTT() time.Duration {
	select {
	case <-c.built:
		return c.rtt
	default:
		return 0
	}
}

// Done is closed when the circuit has ended.
func (c *Circuit) Done() <-chan struct{} { return c.done }

// Err returns why the circuit ended; nil while it lives.
func (c *Circuit) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Close ends the circuit and all streams on it. What they have written still
// goes out, unless it waits because the circuit is padded at a constant rate.
func (c *Circuit) Close() error {
	c.fail(ErrClosed, cell.Finished)
	return nil
}

func (c *Circuit) fail(err error, reason cell.Reason) {
	c.ending.Do(func() {
		leg := c.out()
		c.timeout.Stop()
		c.renewal.stop()
		c.stopPadding()
		c.err = err
		if c.ended != nil {
			c.ended(err)
		}
		close(c.done)
		c.mux.Close(err)
		if leg != nil {
			leg.Close(reason, 0)
		}
		go c.forget() // not here: a cell may be under way
	})
}

// forget forgets the circuit's keys, once no cell is being opened or sealed.
func (c *Circuit) forget() {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	c.sealing.Lock()
	defer c.sealing.Unlock()
	c.lost = true
	for _, h := range c.handshakes {
		h.Close()
	}
	for _, s := range c.sessions {
		s.Close()
	}
}

// Closed implements link.Receiver.
func (c *Circuit) Closed(reason cell.Reason, distance uint8) {
	c.fail(&Error{Reason: reason, Hop: min(int(distance), len(c.hops)-1)}, reason)
}

// Receive implements link.Receiver.
func (c *Circuit) Receive(cells []byte) {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	c.renewal.count(len(cells) / cell.Size)
	c.received.Add(uint64(len(cells)))
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		b := c.pool.Get()
		copy(b[:], cells[:cell.Size])
		if hop, err := c.receive(b); err != nil {
			reason := cell.Altered
			switch {
			case errors.Is(err, errProtocol):
				reason = cell.Protocol
			case errors.Is(err, tinker.ErrExpired):
				reason = cell.Expired
			}
			end := &Error{Reason: reason, Hop: hop}
			if errors.As(err, &end.Retry) {
				end.Reason, reason = cell.UnknownPrekey, cell.Finished
			}
			c.fail(end, reason)
			return
		}
	}
}

// receive owns the cell. With an error it returns which hop's layer or reply
// was wrong.
func (c *Circuit) receive(b *cell.Buf) (hop int, err error) {
	replied := c.onion.Hops()
	if (cell.ParseHeader(b[:]).Command == cell.Created) != (replied == 0) {
		c.pool.Put(b)
		return 0, errProtocol
	}
	if replied == 0 {
		defer c.pool.Put(b)
		return 0, c.finish(b[cell.HeaderSize:])
	}
	o, err := c.onion.Open(b[cell.HeaderSize:])
	if err != nil {
		c.pool.Put(b)
		var layer *tinker.LayerError
		errors.As(err, &layer)
		return layer.Hop, err
	}
	switch {
	case o.Type == tinker.LayerLocal && o.Hop == len(c.hops)-1:
		start := cell.HeaderSize + len(c.hops)
		c.seen()
		return o.Hop, c.deliver(b, start, start+len(o.Content))
	case o.Type == tinker.LayerRelay && o.Hop == replied-1 && replied < len(c.hops):
		defer c.pool.Put(b)
		return replied, c.finish(o.Content)
	}
	if o.Type == tinker.LayerStep {
		defer c.pool.Put(b)
		return o.Hop, c.complete(o.Hop, o.Content)
	}
	// Padding, or frames of a node in between, which say nothing to us.
	c.pool.Put(b)
	if o.Type == tinker.LayerDrop || o.Type == tinker.LayerLocal {
		return o.Hop, nil
	}
	return o.Hop, errProtocol
}

// deliver hands frames to the streams.
func (c *Circuit) deliver(b *cell.Buf, start, end int) error {
	if c.mux.Receive(b, start, end) != nil {
		return errProtocol
	}
	return nil
}

// finish takes the reply of the next node that has not replied.
func (c *Circuit) finish(reply []byte) error {
	handshake := c.handshakes[c.onion.Hops()]
	reply, _, err := handshake.SplitReply(reply)
	if err != nil {
		return err
	}
	session, err := handshake.Finish(reply)
	if err != nil {
		return err
	}
	handshake.Close()
	c.onion.Add(session)
	c.sessions = append(c.sessions, session)
	if c.onion.Hops() < len(c.hops) {
		return nil
	}
	c.handshakes = nil
	c.timeout.Stop()
	c.rtt = time.Since(c.begun)
	close(c.built)
	c.renewal.begin(c)
	c.beginPadding()
	c.mux.Ready()
	return nil
}

// send puts a layer for each node around the cells' contents. When they can't
// be sent the circuit ends, and its streams with it: not with an error of
// this, as they learn why from fail.
func (c *Circuit) send(cells []*cell.Buf) error {
	c.renewal.count(len(cells))
	c.sent.Add(uint64(len(cells)) * cell.Size)
	c.sealing.Lock()
	defer c.sealing.Unlock()
	if c.lost {
		c.pool.PutAll(cells)
		return nil
	}
	if c.padding != nil {
		c.waitLocked(cells)
		return nil
	}
	c.pushLocked(c.sealLocked(cells), cells...)
	return nil
}

func (c *Circuit) sealLocked(cells []*cell.Buf) error {
	for _, b := range cells {
		if err := c.onion.Seal(b[cell.HeaderSize:], tinker.LayerLocal); err != nil {
			return err
		}
	}
	return nil
}

// pushLocked queues cells that were sealed, unless that failed. When they
// can't be sent, what is sealed later would not open: the circuit ends.
func (c *Circuit) pushLocked(err error, cells ...*cell.Buf) {
	if err == nil {
		if err = c.out().Push(cell.Relay, cells...); err == nil {
			return
		}
	}
	reason := cell.Expired // the only reason for which sealing fails
	if errors.Is(err, link.ErrQueueFull) {
		reason = cell.QueueFull
	}
	c.lost = true
	c.pool.PutAll(cells)
	if !errors.Is(err, link.ErrLegClosed) {
		go c.fail(&Error{Reason: reason, Hop: 0}, reason) // not here: the mux calls
	}
}
