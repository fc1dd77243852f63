package link

import (
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/link/wrap"
	"safing/tinker"
	"safing/tinker/policy"
)

// ErrClosed is the error of a link that this side closed.
var ErrClosed = errors.New("link: closed")

// A Link is a connection that carries cells. It ends when either side closes
// it, when the connection breaks, or when the other side breaks the protocol;
// every leg on it ends then.
type Link struct {
	conn      net.Conn
	config    Config
	initiator bool
	remote    netmap.NodeID // who an initiator asked for

	out    schedule
	writer writer
	legs   legs
	peer   atomic.Pointer[netmap.NodeID]
	rtt    roundTrip

	closing sync.Once
	err     error         // why the link ended; set before closed is closed
	closed  chan struct{} // closed once the connection is
	done    chan struct{} // closed once both goroutines have ended
	running sync.WaitGroup
	pinger  *time.Timer
	// finisher ends the link if the other side does not; guarded by out.mu.
	finisher *time.Timer

	// Owned by the reader.
	handshake *tinker.Initiator // until the reply came
	begun     time.Time         // when the hello was sent
	opener    *tinker.Opener
	session   *tinker.Session // nil until the reply came
	early     bool            // what comes is still sealed with the hello's keys
	records   uint64          // received under the session's key
	renewed   time.Time       // when the keys were renewed last
	last      *Leg

	moved atomic.Int64 // cells in both directions since then

	sent, received direction
}

func newLink(conn net.Conn, c Config) *Link {
	l := &Link{conn: conn, config: c.withDefaults(), closed: make(chan struct{}), done: make(chan struct{})}
	l.out.wake.L = &l.out.mu
	l.out.busy = true // until the writer's goroutine waits
	l.legs.byID = make(map[uint32]*Leg)
	l.rtt.known = make(chan struct{})
	return l
}

// start begins to read and write. The writer's first sealer is given.
func (l *Link) start(sealer *tinker.Sealer) {
	l.pinger = time.AfterFunc(math.MaxInt64, l.pingAgain)
	l.pinger.Reset(l.config.PingEvery) // it must not run before it is kept
	l.writer.sealer = sealer
	if l.config.SendRate == nil {
		l.writer.socket = socketOf(l.conn)
	}
	if !l.initiator {
		l.writer.key = keySession
	}
	l.running.Go(l.read)
	l.running.Go(l.write)
	go func() {
		l.running.Wait()
		l.forget()
		close(l.done)
	}()
}

// forget forgets all keys, once nothing more is sealed or opened.
func (l *Link) forget() {
	if l.handshake != nil {
		l.handshake.Close()
	}
	if l.opener != nil {
		l.opener.Close()
	}
	if l.session != nil {
		l.session.Close()
	}
	l.writer.sealer.Close() // an early one, if nothing was sent after the reply
}

// Initiator says whether this side made the connection.
func (l *Link) Initiator() bool { return l.initiator }

// Peer returns the identity of the node at the other side; zero when that is
// an initiator that has not proved one.
func (l *Link) Peer() netmap.NodeID {
	if l.initiator {
		return l.remote
	}
	if id := l.peer.Load(); id != nil {
		return *id
	}
	return netmap.NodeID{}
}

// RemoteAddr returns the address at the other side.
func (l *Link) RemoteAddr() net.Addr { return l.conn.RemoteAddr() }

// Wrapping returns what the link travels in.
func (l *Link) Wrapping() netmap.Wrapping { return wrap.Of(l.conn) }

// Pool returns the pool that cells for the link's legs come from.
func (l *Link) Pool() *cell.Pool { return l.config.Pool }

// Policies returns those of Config.
func (l *Link) Policies() *policy.Policies { return l.config.Policies }

// RTT returns the least of the latest measured round trips; 0 before the first.
func (l *Link) RTT() time.Duration { return l.rtt.least() }

// Measured is closed once the first round trip is known.
func (l *Link) Measured() <-chan struct{} { return l.rtt.known }

// Unanswered returns for how long the other side has owed an answer to a ping;
// 0 if it owes none. A link on which that is long may have broken unnoticed.
func (l *Link) Unanswered() time.Duration { return l.rtt.waiting() }

// LeastBusy returns the link of a neighbour's on which a new circuit should go:
// one with the fewest circuits of those that have not ended. Those that have
// owed an answer for longer than doubtful come last. It returns nil if there is
// none.
func LeastBusy(links []*Link, doubtful time.Duration) *Link {
	var best *Link
	var least int
	var doubted bool
	for _, l := range links {
		if l.Err() != nil {
			continue
		}
		n, doubt := l.Legs(), l.Unanswered() > doubtful
		if best == nil || doubted && !doubt || doubted == doubt && (n < least || n == least && rand.IntN(2) == 0) {
			best, least, doubted = l, n, doubt
		}
	}
	return best
}

// Legs returns how many circuits the link carries.
func (l *Link) Legs() int { return l.legs.count() }

// Room returns how many more it can carry.
func (l *Link) Room() int { return l.config.MaxLegs - l.legs.count() }

// DropEnding drops what is queued for circuits that have ended on this side, and
// returns how many cells that were. The other side is still told of the end.
func (l *Link) DropEnding() (cells int) {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	for _, g := range l.legs.list() {
		if g.state == legClosing {
			cells += g.cells.n
			g.dropLocked()
		}
	}
	return cells
}

// Done is closed when the link has ended, all its receivers have been told,
// and its goroutines are gone.
func (l *Link) Done() <-chan struct{} { return l.done }

// Err returns why the link ended: ErrClosed after Close, nil while it lives.
func (l *Link) Err() error {
	select {
	case <-l.closed:
		return l.err
	default:
		return nil
	}
}

// Close ends the link at once. It does not wait; Done tells when that is over.
func (l *Link) Close() error {
	l.fail(ErrClosed)
	return nil
}

// Finish sends what is queued and then ends the link, within two seconds after
// the last write. It does not wait.
func (l *Link) Finish() {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	l.out.finish = true
	l.out.wake.Signal()
}

// fail ends the link; the first error counts.
func (l *Link) fail(err error) {
	l.closing.Do(func() {
		l.err = err
		close(l.closed)
		l.pinger.Stop()
		l.conn.Close()
		l.out.mu.Lock()
		defer l.out.mu.Unlock()
		l.out.ended = true
		if l.finisher != nil {
			l.finisher.Stop()
		}
		l.out.wake.Broadcast()
	})
}

// bare takes the addresses out of a connection's error, for the error will be
// logged, and who uses a node is nobody's business.
func bare(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// Open creates a circuit at the other side with the cells of its burst, which
// the link owns from then on unless there is an error.
func (l *Link) Open(r Receiver, burst []*cell.Buf) (*Leg, error) {
	l.out.mu.Lock()
	defer l.out.mu.Unlock()
	if l.out.ended || l.out.finish {
		return nil, ErrLegClosed
	}
	// The number is taken and the burst queued under one lock, so that numbers
	// appear on the wire in rising order: see receiveNew.
	g := &Leg{link: l, receiver: r}
	if err := l.legs.addOwn(g, l.initiator, l.config.MaxLegs); err != nil {
		return nil, err
	}
	for _, b := range burst {
		cell.Header{Circuit: g.id, Command: cell.Create}.Put(b[:])
		g.cells.push(b)
	}
	l.out.listLocked(g)
	l.out.wake.Signal()
	return g, nil
}
