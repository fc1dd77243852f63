package link

import (
	"crypto/ed25519"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"safing/netmap"
	"safing/port17/cell"
	"safing/tinker/policy"
)

// Config says how a link behaves. The zero value is an anonymous initiator's
// that refuses circuits from the other side.
type Config struct {
	// Identity proves to the responder which node has initiated the link. Nil
	// makes the initiator anonymous. Responders don't use it: their identity is
	// bound into the prekeys.
	Identity ed25519.PrivateKey
	// Accept is asked when the other side creates a circuit, and returns who
	// receives its cells, the first one included. Returning nil refuses with
	// cell.Busy. The reader calls it.
	Accept func(*Leg) Receiver
	// Authenticated is called by the reader once the other side has proved its
	// identity, which Peer then returns: a responder by its reply, an initiator
	// by its proof if it sends one.
	Authenticated func(*Link)
	// Descriptor is the keys that a responder publishes now, as it has signed
	// them. An initiator that asks for a prekey which the responder does not have
	// gets them with the refusal: the link's error is a [tinker.RetryError] then.
	Descriptor func() []byte
	// At is when the node's prekeys are looked at, if its keys may be out of date:
	// the node has newer ones then, and sends them. Zero means now.
	At time.Time
	// Policies say of which suites hellos are made, and to which sessions step.
	// Nil takes any that the other side has, and stays with it.
	Policies *policy.Policies
	// Pool holds the cells that are queued. Links among which cells are passed
	// on share one. Nil gives the link its own.
	Pool *cell.Pool
	// MaxLegs is how many circuits the link carries; 0 means 4096.
	MaxLegs int
	// QueueLimit is how many cells may wait in a leg; 0 means QueueLimit.
	QueueLimit int
	// PingEvery is the time between measurements of the round trip; 0 means 15
	// seconds. A link on which nothing arrives for four times as long breaks.
	PingEvery time.Duration
	// Wrappings are what Dial may connect in, best first; none means plain TCP.
	Wrappings []netmap.Wrapping
	// SendRate and ReceiveRate, in bytes a second, limit all links that share
	// them; nil does not. Their burst is to be no less than a record, MaxRecord.
	SendRate, ReceiveRate *rate.Limiter
	// Log gets what a developer wants to see of a link; nil discards.
	Log *slog.Logger
}

// QueueLimit is how many cells may wait in a leg unless Config says otherwise:
// a circuit's greatest window, and room for the acknowledgements and control
// frames that the window does not count.
const QueueLimit = 4096 + 1024

const (
	defaultMaxLegs   = 4096
	defaultPingEvery = 15 * time.Second
	idlePings        = 4 // pings without an answer after which a link breaks

	handshakeTimeout = 10 * time.Second
	writeTimeout     = 30 * time.Second // for one record
	finishTimeout    = 2 * time.Second  // for the other side to close as well
	mostEarly        = 1 << 20          // bytes behind a hello that is refused that are read, so that they don't disturb the refusal
)

func (c Config) withDefaults() Config {
	if c.Pool == nil {
		c.Pool = new(cell.Pool)
	}
	if c.MaxLegs <= 0 {
		c.MaxLegs = defaultMaxLegs
	}
	if c.QueueLimit <= 0 {
		c.QueueLimit = QueueLimit
	}
	if c.PingEvery <= 0 {
		c.PingEvery = defaultPingEvery
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}
