package stream_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"safing/port17/cell"
	"safing/port17/circuit/stream"
)

const (
	start = cell.HeaderSize + 1
	reach = 256 << 10 // of a stream nobody has read from
)

var (
	size    = cell.ContentSize(0)
	site    = cell.Target{Host: "example.com", Port: 443}
	errOver = errors.New("the test is over")
	noise   = make([]byte, 1<<20)
)

func init() { rand.NewChaCha8([32]byte{}).Read(noise) }

// A wire takes one end's cells to the other.
type wire struct {
	cells chan *cell.Buf
	err   error // what the receiving end said of them
}

func (w *wire) send(cells []*cell.Buf) error {
	for i, b := range cells {
		select {
		case w.cells <- b:
			cells[i] = nil
		default:
			panic("a mux has more cells under way than its window allows")
		}
	}
	return nil
}

// deliver hands over what is on the wire.
func (w *wire) deliver(to *stream.Mux) {
	for len(w.cells) > 0 {
		w.hand(<-w.cells, to)
	}
}

func (w *wire) hand(b *cell.Buf, to *stream.Mux) {
	if err := to.Receive(b, start, start+size); err != nil && w.err == nil {
		w.err = err
		to.Close(err)
	}
}

// A pair is both ends of a circuit.
type pair struct {
	pool         cell.Pool
	origin, exit *stream.Mux
	out, back    wire
	accepted     chan *stream.Stream

	mu      sync.Mutex
	streams []*stream.Stream

	running sync.WaitGroup
	stopped chan struct{}
}

// newPair makes two ends between which nothing is delivered yet.
func newPair(maxStreams int) *pair { return newPairWith(maxStreams, 0) }

// newPairWith makes ends that know of delays.
func newPairWith(maxStreams int, delay time.Duration) *pair {
	p := &pair{accepted: make(chan *stream.Stream, 256), stopped: make(chan struct{})}
	p.out.cells, p.back.cells = make(chan *cell.Buf, 5120), make(chan *cell.Buf, 5120)
	p.origin = stream.New(stream.Config{Pool: &p.pool, Start: start, Size: size, Delay: delay, Send: p.out.send})
	p.exit = stream.New(stream.Config{
		Pool: &p.pool, Start: start, Size: size, Delay: delay, Send: p.back.send, MaxStreams: maxStreams,
		Accept: func(s *stream.Stream, _ cell.Target) {
			p.track(s)
			p.accepted <- s
		},
	})
	p.exit.Ready()
	return p
}

// connect makes two ends and delivers what they send.
func connect() *pair {
	p := newPair(0)
	p.origin.Ready()
	p.run()
	return p
}

func (p *pair) run() {
	p.running.Go(func() { p.pump(&p.out, p.exit) })
	p.running.Go(func() { p.pump(&p.back, p.origin) })
}

func (p *pair) pump(w *wire, to *stream.Mux) {
	for {
		select {
		case <-p.stopped:
			return
		case b := <-w.cells:
			w.hand(b, to)
		}
	}
}

func (p *pair) track(s *stream.Stream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams = append(p.streams, s)
}

// open returns both ends of a new stream.
func (p *pair) open(t rapid.TB, early []byte) (s, peer *stream.Stream) {
	t.Helper()
	s, err := p.origin.Open(site, early)
	if err != nil {
		t.Fatal(err)
	}
	p.track(s)
	return s, <-p.accepted
}

func (p *pair) stop() {
	p.origin.Close(errOver)
	p.exit.Close(errOver)
	close(p.stopped)
	p.running.Wait()
}

// end stops everything, and finds cells that nobody has given back.
func (p *pair) end(t rapid.TB) {
	t.Helper()
	p.stop()
	for _, err := range []error{p.out.err, p.back.err} {
		if err != nil {
			t.Error(err)
		}
	}
	p.empty(t)
}

func (p *pair) empty(t rapid.TB) {
	t.Helper()
	for _, s := range p.streams {
		s.Close()
	}
	for _, w := range []*wire{&p.out, &p.back} {
		for len(w.cells) > 0 {
			p.pool.Put(<-w.cells)
		}
	}
	if n := p.pool.Used(); n != 0 {
		t.Errorf("%d cells are still in use", n)
	}
}

// content puts frames into a cell's content.
func content(frames ...cell.Frame) []byte {
	var b []byte
	for _, f := range frames {
		b = f.Append(b)
	}
	return b
}

// receive hands frames to an end.
func (p *pair) receive(to *stream.Mux, content []byte) error {
	b := p.pool.Get()
	clear(b[start+copy(b[start:], content):])
	return to.Receive(b, start, start+size)
}

// sent takes the frames that are on the wire.
func (p *pair) sent(t testing.TB, w *wire) []cell.Frame {
	t.Helper()
	var all []cell.Frame
	for len(w.cells) > 0 {
		b := <-w.cells
		for rest := append([]byte(nil), b[start:start+size]...); ; {
			f, next, err := cell.NextFrame(rest)
			if err != nil {
				t.Fatal(err)
			}
			if f.Type == cell.EndOfFrames {
				break
			}
			all, rest = append(all, f), next
		}
		p.pool.Put(b)
	}
	return all
}
