package correlation

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"safing/port17/shape"
)

const (
	latency    = 15 * time.Millisecond // of each link, one way
	jitter     = time.Millisecond      // mean of what is added to it
	serverRate = 500                   // cells a second in which a server answers
	ackEvery   = 32                    // cells that the origin acknowledges at once
)

// A Defence is what a circuit asks for.
type Defence struct {
	Name  string
	Hops  int
	Delay time.Duration
	Shape shape.Shape
}

// An item is a cell in the model.
type item struct {
	kind   kind
	object int // of a request or an answer
	last   bool
	end    int // hop at which padding ends, from 1; 0 is the origin
}

type kind uint8

const (
	ask kind = iota
	answer
	control
	padding
)

// A stage is a gate and what waits there.
type stage struct {
	gate      *shape.Gate
	items     []item
	scheduled time.Time // when the gate is asked next
	arrives   time.Time // when what has left last arrives
}

type eventKind uint8

const (
	polled    eventKind = iota // a stage's gate wants to be asked
	forwarded                  // an item arrives at a stage from the origin's side
	returned                   // or from the other
	asked                      // the user asks
)

type event struct {
	at    time.Time
	kind  eventKind
	stage int // forward stages are 0, the origin, to hops; backward ones -1 to -hops
	item  item
}

// A trace is when somebody saw cells of one flow.
type trace []time.Duration

// A view is what is seen of one flow at both ends.
type view struct {
	// At the entry: what comes from the client, and what goes there.
	entryOut, entryIn trace
	// At the exit: what goes to the destination, and what comes from there.
	exitOut, exitIn trace
}

// A flow is one user's circuit.
type flow struct {
	defence  Defence
	rand     *rand.Rand
	begin    time.Time
	now      time.Time
	stages   map[int]*stage
	events   events
	requests []request

	outside   view // of those who watch the links to entry and exit
	inside    view // of entry and exit themselves, who know their own delays
	received  int
	first     []time.Duration // until an answer's first cell, added by the defence
	whole     []time.Duration // until its last
	real, all int             // cells between client and entry
}

// run lets a user's circuit live for the window, and as long as it takes until
// all has arrived.
func run(d Defence, seed uint64, window time.Duration) *flow {
	f := &flow{defence: d, begin: time.Unix(0, 0), stages: make(map[int]*stage)}
	f.now = f.begin
	f.requests = requests(rand.New(rand.NewPCG(seed, 0)), window) // the same for all defences
	f.rand = rand.New(rand.NewPCG(seed, 1))
	middle := d.Hops/2 + 1
	f.stages[0] = f.stage(0, d.Shape)
	for i := 1; i <= d.Hops; i++ {
		f.stages[i] = f.stage(d.Delay, shape.Shape{})
		back := shape.Shape{}
		if i == middle {
			back = d.Shape.Back()
		}
		f.stages[-i] = f.stage(d.Delay, back)
	}
	for i := -d.Hops; i <= d.Hops; i++ {
		f.poll(i)
	}
	for i, r := range f.requests {
		heap.Push(&f.events, event{at: f.begin.Add(r.at), kind: asked, item: item{kind: ask, object: i}})
	}
	f.first, f.whole = make([]time.Duration, len(f.requests)), make([]time.Duration, len(f.requests))
	for end := f.begin.Add(window); len(f.events) > 0; {
		e := heap.Pop(&f.events).(event)
		if f.now = e.at; f.now.After(end) {
			break
		}
		f.handle(e)
	}
	return f
}

func (f *flow) stage(mean time.Duration, s shape.Shape) *stage {
	return &stage{gate: shape.NewGate(mean, s, f.now, rand.NewPCG(f.rand.Uint64(), f.rand.Uint64()))}
}

func (f *flow) handle(e event) {
	switch e.kind {
	case polled:
		s := f.stages[e.stage]
		if s.scheduled.Equal(f.now) {
			s.scheduled = time.Time{}
		}
		f.leave(e.stage)
	case asked:
		f.arrive(0, e.item)
	case forwarded:
		f.forward(e.stage, e.item)
	case returned:
		f.back(e.stage, e.item)
	}
}

func (f *flow) since() time.Duration { return f.now.Sub(f.begin) }

// arrive puts an item into a stage.
func (f *flow) arrive(i int, it item) {
	s := f.stages[i]
	s.items = append(s.items, it)
	s.gate.Add(f.now, 1)
	f.leave(i)
}

// leave lets leave what may.
func (f *flow) leave(i int) {
	s := f.stages[i]
	n, pad := s.gate.Take(f.now)
	for _, it := range s.items[:n] {
		f.send(i, it)
	}
	s.items = s.items[n:]
	for range pad {
		it := item{kind: padding}
		if i == 0 {
			it.end = 2 + f.rand.IntN(f.defence.Hops-1)
		}
		f.send(i, it)
	}
	f.poll(i)
}

func (f *flow) poll(i int) {
	s := f.stages[i]
	if at := s.gate.Next(); !at.IsZero() && (s.scheduled.IsZero() || at.Before(s.scheduled)) {
		s.scheduled = at
		heap.Push(&f.events, event{at: at, kind: polled, stage: i})
	}
}

// send puts an item on the link behind a stage. Nothing overtakes.
func (f *flow) send(i int, it item) {
	s := f.stages[i]
	e := event{kind: forwarded, stage: i + 1, item: it}
	if i < 0 {
		e.kind = returned
	}
	e.at = f.now.Add(latency + time.Duration(f.rand.ExpFloat64()*float64(jitter)))
	if e.at.Before(s.arrives) {
		e.at = s.arrives
	}
	s.arrives = e.at
	switch {
	case i == 0:
		f.count(it)
		f.outside.entryOut = append(f.outside.entryOut, f.since())
	case i == 1:
		f.inside.entryOut = append(f.inside.entryOut, f.since())
	case i == -f.defence.Hops && i < -1:
		f.inside.exitIn = append(f.inside.exitIn, f.since())
	case i == -1:
		f.count(it)
		f.outside.entryIn = append(f.outside.entryIn, f.since())
	case i == f.defence.Hops && it.kind == ask:
		f.outside.exitOut = append(f.outside.exitOut, f.since())
	}
	heap.Push(&f.events, e)
}

// count counts a cell between client and entry.
func (f *flow) count(it item) {
	f.all++
	if it.kind != padding {
		f.real++
	}
}

// forward takes what arrives at a hop, or at the server.
func (f *flow) forward(i int, it item) {
	hops := f.defence.Hops
	if it.kind == padding && it.end == i {
		return
	}
	if i == hops/2+1 {
		f.stages[-i].gate.Seen(f.now)
		f.poll(-i)
	}
	switch {
	case i == hops && it.kind != padding:
		f.inside.exitOut = append(f.inside.exitOut, f.since())
		if it.kind == control {
			return
		}
	case i > hops:
		f.serve(it)
		return
	}
	f.arrive(i, it)
}

// serve lets the server answer.
func (f *flow) serve(it item) {
	r := f.requests[it.object]
	at := f.now.Add(r.think + latency)
	for i := range r.cells {
		heap.Push(&f.events, event{
			at: at.Add(time.Duration(i) * time.Second / serverRate), kind: returned, stage: -f.defence.Hops,
			item: item{kind: answer, object: it.object, last: i == r.cells-1},
		})
	}
}

// back takes what arrives at a hop from the other side, or at the origin.
func (f *flow) back(to int, it item) {
	switch {
	case to == -f.defence.Hops:
		f.outside.exitIn = append(f.outside.exitIn, f.since())
	case to == -1:
		f.inside.entryIn = append(f.inside.entryIn, f.since())
	}
	if to != 0 {
		f.arrive(to, it)
		return
	}
	if it.kind == padding {
		return
	}
	f.deliver(it)
	f.stages[0].gate.Seen(f.now)
	f.poll(0)
	if f.received++; f.received%ackEvery == 0 {
		f.arrive(0, item{kind: control})
	}
}

// deliver notes how much later a cell comes than without a defence.
func (f *flow) deliver(it item) {
	r := f.requests[it.object]
	took := f.since() - r.at - r.think - time.Duration(2*f.defence.Hops+2)*latency
	if f.first[it.object] == 0 {
		f.first[it.object] = max(took, 1)
	}
	if it.last {
		f.whole[it.object] = max(took-time.Duration(r.cells-1)*time.Second/serverRate, 1)
	}
}

type events []event

// Len implements sort.Interface.
func (h events) Len() int { return len(h) }

// Less implements sort.Interface.
func (h events) Less(i, j int) bool { return h[i].at.Before(h[j].at) }

// Swap implements sort.Interface.
func (h events) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *events) Push(x any) { *h = append(*h, x.(event)) }

// Pop implements heap.Interface.
func (h *events) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}
