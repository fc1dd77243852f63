package stream

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"safing/port17/cell"
)

// Config says how one end of a circuit sends and what it accepts.
type Config struct {
	// Pool is where cells come from.
	Pool *cell.Pool
	// Start and Size are the place of the content in outgoing cells: what lies
	// before and behind is the onion's.
	Start, Size int
	// Send seals and queues cells, which are its from then on. Its error ends
	// the mux. It must not block, nor call the mux.
	Send func(cells []*cell.Buf) error
	// Delay is what a round trip takes longer than it must, because hops mix.
	Delay time.Duration
	// Accept is called by Receive when the origin has opened a stream. It must
	// not block. Nil at origins, which accept none.
	Accept func(*Stream, cell.Target)
	// Refused is told of streams that the origin has opened and that Accept
	// does not see, with the reason that goes back. It must not block, nor call
	// the mux. Nil if nobody counts them.
	Refused func(cell.Reason)
	// MaxStreams is how many streams may be open; 0 means 256.
	MaxStreams int
}

const defaultMaxStreams = 256

// Errors of streams and of opening them.
var (
	// ErrTooManyStreams: this end has as many open streams as it may have.
	ErrTooManyStreams = errors.New("stream: too many streams on the circuit")
	// ErrEarlyTooLong: more early data than MaxEarly.
	ErrEarlyTooLong = errors.New("stream: too much early data")
)

// MaxEarly is how many bytes Open and First take.
const MaxEarly = 64 << 10

// A Mux is one end of a circuit's streams.
type Mux struct {
	config Config
	pool   *cell.Pool
	data   int // bytes of data in a full cell

	vectors sync.Pool // of *vector; held only while a socket is read

	// sending is held while cells are sealed: their order is the order of
	// their keys. It is taken before mu. Whoever has released it looks whether
	// there is work that somebody left behind while it was held.
	sending sync.Mutex
	work    atomic.Bool

	// receiving: a cell's frames are being handled. Answers wait for the last,
	// so that many refusals go together and not in a cell each.
	receiving atomic.Bool

	mu       sync.Mutex
	ready    bool
	err      error // set when the mux has ended
	streams  map[uint32]*Stream
	lastID   uint32
	window   window
	waiting  []*Stream // writers that found no room in the window, in order
	control  []*Stream // streams with frames to send that are no data
	opening  []*Stream // streams whose target and early data were not sent
	received uint64    // cells with data
	acked    uint64    // of these
	now      func() time.Time
}

// New returns an end that may send once Ready was called.
func New(c Config) *Mux {
	if c.MaxStreams <= 0 {
		c.MaxStreams = defaultMaxStreams
	}
	return &Mux{
		config:  c,
		pool:    c.Pool,
		data:    c.Size - cell.DataOverhead,
		streams: make(map[uint32]*Stream),
		window:  window{limit: firstWindow, slack: slack + c.Delay},
		now:     time.Now,
	}
}

// Ready lets the mux send, and sends what has waited for that.
func (m *Mux) Ready() {
	m.mu.Lock()
	m.ready = true
	m.work.Store(true)
	for _, s := range m.streams {
		s.wake()
	}
	m.mu.Unlock()
	m.kick()
}

// Streams returns how many streams are open.
func (m *Mux) Streams() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.streams)
}

// Close ends all streams with the error; only the first call counts. Data that
// has arrived can still be read.
func (m *Mux) Close(err error) {
	m.mu.Lock()
	if m.err != nil {
		m.mu.Unlock()
		return
	}
	m.err = err
	all := make([]*Stream, 0, len(m.streams))
	for _, s := range m.streams {
		all = append(all, s)
	}
	clear(m.streams)
	m.waiting, m.control, m.opening = nil, nil, nil
	m.mu.Unlock()
	for _, s := range all {
		s.end(err)
	}
}

// Err returns why the mux has ended.
func (m *Mux) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Open opens a stream and sends early data, of which there may be MaxEarly
// bytes. It never waits: what can't be sent yet follows as soon as it can.
func (m *Mux) Open(t cell.Target, early []byte) (*Stream, error) {
	s, err := m.open(t, early, func(s *Stream) {
		s.early = t.Append(make([]byte, 0, cell.MaxTarget+len(early)))
		s.target = len(s.early)
		s.early = append(s.early, early...)
		m.opening = append(m.opening, s)
		m.work.Store(true)
	})
	if err != nil {
		return nil, err
	}
	m.kick()
	return s, nil
}

// First opens a stream whose target goes into area, together with as much of
// the early data as fits; the rest follows when the mux is ready. It returns
// how much of area it has used.
func (m *Mux) First(area []byte, t cell.Target, early []byte) (*Stream, int, error) {
	used := 0
	s, err := m.open(t, early, func(s *Stream) {
		open := cell.Frame{Type: cell.OpenFrame, Stream: s.id, Data: t.Append(nil)}
		b := open.Append(area[:0])
		n := min(len(early), len(area)-len(b)-cell.DataOverhead)
		if n > 0 {
			b = cell.Frame{Type: cell.DataFrame, Stream: s.id, Data: early[:n]}.Append(b)
			s.sent = uint64(n)
			early = early[n:]
		}
		s.announced = true
		if len(early) > 0 {
			s.early = append([]byte(nil), early...)
			m.opening = append(m.opening, s)
		}
		used = len(b)
	})
	return s, used, err
}

// open enters a stream. prepareLocked is called under the same lock, so that
// streams are announced in the order of their numbers.
func (m *Mux) open(t cell.Target, early []byte, prepareLocked func(*Stream)) (*Stream, error) {
	if err := t.Validate(); err != nil {
		return nil, err
	}
	if len(early) > MaxEarly {
		return nil, ErrEarlyTooLong
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	if len(m.streams) >= m.config.MaxStreams {
		return nil, ErrTooManyStreams
	}
	m.lastID++
	s := newStream(m, m.lastID, t)
	m.streams[s.id] = s
	prepareLocked(s)
	return s, nil
}

// Held returns how many bytes wait for readers.
func (m *Mux) Held() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	held := 0
	for _, s := range m.streams {
		held += s.held()
	}
	return held
}
