package wan

import (
	"math/rand/v2"
	"sync"
	"time"
)

// pathLength is how many packets may be under way in one direction between two
// hosts. With 25 ms and packets of 64 KiB, that is more than 1 Tbit/s.
const pathLength = 1 << 16

// A path is one direction of a link: packets that wait until they are due.
type path struct {
	held chan packet

	mu   sync.Mutex
	link Link
	cut  bool
	free time.Time // when the link will have sent all that waits
	last time.Time // when the last packet is due
	lots *rand.Rand
}

type packet struct {
	due  time.Time
	data []byte // behind its vnet header
}

func newPath(l Link, seed, stream uint64) *path {
	return &path{link: l, held: make(chan packet, pathLength), lots: rand.New(rand.NewPCG(seed, stream))}
}

func (p *path) set(l Link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.link = l
}

// sever cuts the path, or restores it.
func (p *path) sever(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = cut
}

// admit says when a packet is due at the other end; ok is false if it is lost.
// The rate is a bucket of tokens that holds one packet.
func (p *path) admit(now time.Time, size int) (due time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.link.Loss > 0 && p.lots.Float64() < float64(p.link.Loss) {
		return time.Time{}, false
	}
	due = now
	if p.link.Rate > 0 {
		begin := now
		if p.free.After(now) {
			begin = p.free
		}
		if begin.Sub(now) > QueueTime {
			return time.Time{}, false
		}
		p.free = begin.Add(p.link.Rate.time(size))
		due = p.free
	}
	due = due.Add(p.link.Delay)
	if due.Before(p.last) { // the link's delay was longer a moment ago
		due = p.last
	}
	p.last = due
	return due, true
}

// deliver hands packets over when they are due, until held is closed.
func (p *path) deliver(write func([]byte) (int, error)) {
	for packet := range p.held {
		time.Sleep(time.Until(packet.due))
		write(packet.data) //nolint:errcheck // what the host cannot take is lost
	}
}
