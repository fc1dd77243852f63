package link

import (
	"errors"
	"sync/atomic"

	"safing/port17/cell"
)

// A Receiver gets what arrives for one leg. The link's reader calls it, one
// call at a time; it must not block.
type Receiver interface {
	// Receive hands over one or more whole cells, headers included: Create,
	// Created and Relay. They belong to the link and may be changed in place,
	// but not be kept. A call that has begun may go on while the leg is closed
	// by another goroutine.
	Receive(cells []byte)
	// Closed says, once, that the other side or the link ended the leg. It is
	// not called after Leg.Close. The distance counts the hops between the
	// neighbour and the node that failed, as that neighbour tells it; for a
	// broken link it is 0.
	Closed(reason cell.Reason, distance uint8)
}

// Errors of Push and Open.
var (
	// ErrLegClosed: the leg or its link has ended.
	ErrLegClosed = errors.New("link: circuit has ended")
	// ErrQueueFull: the leg has as many cells waiting as it may have.
	ErrQueueFull = errors.New("link: circuit's queue is full")
	// ErrTooManyLegs: the link carries as many circuits as it may.
	ErrTooManyLegs = errors.New("link: too many circuits")
)

// A Leg is one circuit's part on a link: a number, and a bounded queue of
// outgoing cells.
type Leg struct {
	link     *Link
	id       uint32
	receiver Receiver // set before the first cell is delivered
	over     atomic.Bool

	// Guarded by link.out.mu.
	cells    queue
	state    legState
	credit   int  // cells that the leg may send before its turn ends
	listed   bool // in one of the writer's lists
	started  bool // the other side knows of the circuit, and has to be told of its end
	reason   cell.Reason
	distance uint8
	next     *Leg // in its list
}

type legState uint8

const (
	legOpen    legState = iota
	legClosing          // sends what is queued, then Destroy
	legGone
)

// Link returns the link that the leg belongs to.
func (g *Leg) Link() *Link { return g.link }

// ID returns the circuit's number on the link.
func (g *Leg) ID() uint32 { return g.id }

// Push queues cells, whose headers it writes, and owns them from then on. It
// takes all or none: on an error they remain the caller's. It never blocks.
func (g *Leg) Push(command cell.Command, cells ...*cell.Buf) error {
	header := cell.Header{Circuit: g.id, Command: command}
	for _, b := range cells {
		header.Put(b[:])
	}
	write, err := g.queue(cells)
	if write {
		g.link.flush()
	}
	return err
}

// queue queues cells, and says whether the caller has to write them.
func (g *Leg) queue(cells []*cell.Buf) (write bool, err error) {
	out := &g.link.out
	out.mu.Lock()
	defer out.mu.Unlock()
	if g.state != legOpen {
		return false, ErrLegClosed
	}
	if g.cells.n+len(cells) > g.link.config.QueueLimit {
		return false, ErrQueueFull
	}
	for _, b := range cells {
		g.cells.push(b)
	}
	out.listLocked(g)
	return g.link.turnLocked(), nil
}

// Queued returns how many cells wait to be sent.
func (g *Leg) Queued() int {
	g.link.out.mu.Lock()
	defer g.link.out.mu.Unlock()
	return g.cells.n
}

// Close ends the leg: cells that are queued still go out, and then a Destroy
// cell with the reason and the distance to the node that failed. What arrives
// afterwards is dropped. Further calls do nothing.
func (g *Leg) Close(reason cell.Reason, distance uint8) { g.close(reason, distance, false) }

// Abort is Close without the cells that are queued.
func (g *Leg) Abort(reason cell.Reason, distance uint8) { g.close(reason, distance, true) }

func (g *Leg) close(reason cell.Reason, distance uint8, drop bool) {
	out := &g.link.out
	out.mu.Lock()
	defer out.mu.Unlock()
	if drop && g.state != legGone {
		g.dropLocked()
	}
	if g.state != legOpen {
		return
	}
	g.over.Store(true)
	g.state, g.reason, g.distance = legClosing, reason, distance
	out.listLocked(g)
	out.wake.Signal()
}

func (g *Leg) dropLocked() {
	var some [MaxCells]*cell.Buf
	for g.cells.n > 0 {
		g.link.config.Pool.PutAll(some[:g.cells.pop(some[:])])
	}
}

// end marks the leg as gone and says whether its receiver has to be told.
func (g *Leg) end() bool {
	g.link.out.mu.Lock()
	defer g.link.out.mu.Unlock()
	tell := g.state == legOpen
	g.state = legGone
	g.over.Store(true)
	g.dropLocked()
	return tell
}
