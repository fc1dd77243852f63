package link

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"safing/port17/cell"
)

// A roundTrip keeps the latest measurements. The least of them is the best
// guess at what the path itself takes: load only adds to it.
type roundTrip struct {
	mu     sync.Mutex
	latest [8]time.Duration
	n      int
	known  chan struct{} // closed once there is one

	token  uint64    // of the last ping
	sent   time.Time // when that was sent; zero once it is answered
	silent time.Time // when the first ping was sent that has no answer yet
}

func (r *roundTrip) add(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addLocked(d)
}

func (r *roundTrip) addLocked(d time.Duration) {
	r.latest[r.n%len(r.latest)] = max(d, 1)
	if r.n++; r.n == 1 {
		close(r.known)
	}
}

func (r *roundTrip) least() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	var least time.Duration
	for _, d := range r.latest[:min(r.n, len(r.latest))] {
		if least == 0 || d < least {
			least = d
		}
	}
	return least
}

// begin returns the token of a new measurement.
func (r *roundTrip) begin() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.token = rand.Uint64() // nobody can answer what they have not got
	r.sent = time.Now()
	if r.silent.IsZero() {
		r.silent = r.sent
	}
	return r.token
}

// finish takes the measurement of the ping that the token belongs to.
func (r *roundTrip) finish(token uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if token != r.token || r.sent.IsZero() {
		return
	}
	r.addLocked(time.Since(r.sent))
	r.sent, r.silent = time.Time{}, time.Time{}
}

// waiting returns for how long pings have had no answer.
func (r *roundTrip) waiting() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.silent.IsZero() {
		return 0
	}
	return time.Since(r.silent)
}

// pingAgain runs on the link's timer.
func (l *Link) pingAgain() {
	l.ping()
	select {
	case <-l.closed:
	default:
		l.pinger.Reset(l.config.PingEvery)
	}
}

// ping begins a measurement.
func (l *Link) ping() {
	l.sendOwn(cell.Ping, l.rtt.begin())
}

// pong answers one. When so many wait already that there is no room, it stays
// without an answer.
func (l *Link) pong(payload []byte) {
	l.sendOwn(cell.Pong, binary.BigEndian.Uint64(payload))
}

func (l *Link) receivePong(payload []byte) {
	l.rtt.finish(binary.BigEndian.Uint64(payload))
}

func (l *Link) sendOwn(command cell.Command, token uint64) {
	b := l.config.Pool.Get()
	clear(b[:])
	cell.Header{Command: command}.Put(b[:])
	binary.BigEndian.PutUint64(b[cell.HeaderSize:], token)
	if !l.out.send(b) {
		l.config.Pool.Put(b)
	}
}
