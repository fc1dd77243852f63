package link_test

import (
	"encoding/binary"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"safing/port17/cell"
	"safing/port17/link"
)

func TestDestroy(t *testing.T) {
	for _, test := range []struct {
		name     string
		reason   cell.Reason
		distance uint8
		byOpener bool
		queued   uint32
	}{
		{"opener", cell.Finished, 0, true, 300},
		{"opener, failed far away", cell.OutOfMemory, 255, true, 1},
		{"other side", cell.QueueFull, 2, false, 300},
		{"other side, unanswered", cell.Busy, 0, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := newTaker()
			a, b := connect(t, link.Config{}, k.config(t, false))
			closer, in := open(t, a)
			to := <-k
			to.want(t, 0, 4)
			other := to.leg
			if !test.byOpener {
				closer, other, in, to = other, closer, to, in
			}
			push(t, closer, 4, test.queued)
			closer.Close(test.reason, test.distance)
			closer.Close(cell.Protocol, 9)
			to.want(t, 4, test.queued)
			to.wantEnd(t, test.reason, test.distance)
			for _, g := range []*link.Leg{closer, other} {
				if err := g.Push(cell.Relay); !errors.Is(err, link.ErrLegClosed) {
					t.Errorf("push: %v, want %v", err, link.ErrLegClosed)
				}
			}
			if a.Legs() != 0 || b.Legs() != 0 {
				t.Errorf("%d and %d circuits are left", a.Legs(), b.Legs())
			}
			a.Close()
			<-a.Done()
			select {
			case <-in.over:
				t.Error("who closes a circuit is not told that it ended")
			default:
			}
		})
	}
}

func TestRefusedCircuit(t *testing.T) {
	full := newTaker().config(t, false)
	full.MaxLegs = 1
	for name, c := range map[string]link.Config{
		"takes none":  {},
		"takes not":   {Accept: func(*link.Leg) link.Receiver { return nil }},
		"has so many": full,
	} {
		t.Run(name, func(t *testing.T) {
			a, b := connect(t, link.Config{}, c)
			_, first := open(t, a)
			_, second := open(t, a)
			second.wantEnd(t, cell.Busy, 0)
			if c.MaxLegs == 0 {
				first.wantEnd(t, cell.Busy, 0)
			}
			if a.Legs() != c.MaxLegs || b.Legs() != c.MaxLegs {
				t.Errorf("%d and %d circuits, want %d", a.Legs(), b.Legs(), c.MaxLegs)
			}
		})
	}
}

func TestMaxLegs(t *testing.T) {
	k := newTaker()
	a, _ := connect(t, link.Config{MaxLegs: 2}, k.config(t, false))
	g, _ := open(t, a)
	open(t, a)
	cells := numbered(a, 0, 4)
	if _, err := a.Open(newInbox(t), cells); !errors.Is(err, link.ErrTooManyLegs) {
		t.Errorf("open: %v, want %v", err, link.ErrTooManyLegs)
	}
	a.Pool().PutAll(cells)
	first := <-k
	g.Close(cell.Finished, 0)
	first.want(t, 0, 4)
	first.wantEnd(t, cell.Finished, 0)
	if again, _ := open(t, a); again.ID() <= g.ID()+1 {
		t.Errorf("circuit %d came after %d", again.ID(), g.ID()+1)
	}
}

// A connection that takes nothing fills the circuit's queue and no more.
func TestSlowReader(t *testing.T) {
	const limit = 500
	k := newTaker()
	n := listen(t, k.config(t, false))
	hold := make(chan struct{})
	a := dialVia(t, n, link.Config{QueueLimit: limit}, func(i int, frame []byte) [][]byte {
		if i > 0 {
			<-hold
		}
		return [][]byte{frame}
	}, untouched)
	g, _ := open(t, a)
	sent := uint32(4)
	for {
		cells := numbered(a, sent, 7)
		if err := g.Push(cell.Relay, cells...); err != nil {
			if !errors.Is(err, link.ErrQueueFull) {
				t.Errorf("push: %v, want %v", err, link.ErrQueueFull)
			}
			a.Pool().PutAll(cells)
			break
		}
		sent += 7
		if used := a.Pool().Used(); g.Queued() > limit || used > limit+link.MaxCells {
			t.Fatalf("%d cells wait and %d are used", g.Queued(), used)
		}
	}
	close(hold)
	(<-k).want(t, 0, sent)
}

func TestQueueLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := responder(t, link.Config{QueueLimit: 100})
		g, _ := open(t, l)
		synctest.Wait() // the burst is being written
		push(t, g, 4, 100)
		refuse := func(n uint32) {
			cells := numbered(l, 0, n)
			if err := g.Push(cell.Relay, cells...); !errors.Is(err, link.ErrQueueFull) {
				t.Errorf("push of %d to %d: %v, want %v", n, g.Queued(), err, link.ErrQueueFull)
			}
			l.Pool().PutAll(cells)
		}
		refuse(1)
		p.mustRead()
		synctest.Wait()
		refuse(link.MaxCells + 1)
		push(t, g, 104, link.MaxCells)
		if g.Queued() != 100 || l.Pool().Used() != 100 {
			t.Errorf("%d cells wait and %d are used, want 100", g.Queued(), l.Pool().Used())
		}
		for next := uint32(4); next < 104+link.MaxCells; {
			for _, c := range p.mustRead() {
				if n := binary.BigEndian.Uint32(c[cell.HeaderSize:]); n != next {
					t.Fatalf("cell %d came, want %d", n, next)
				}
				next++
			}
		}
	})
}

func TestAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := responder(t, link.Config{})
		g, _ := open(t, l)
		synctest.Wait() // the burst is being written
		push(t, g, 4, 100)
		never, _ := open(t, l)
		never.Abort(cell.Finished, 0)
		closing, _ := open(t, l)
		closing.Close(cell.Finished, 0)
		closing.Abort(cell.Protocol, 0)
		g.Abort(cell.Altered, 3)
		if l.Pool().Used() != 0 {
			t.Errorf("%d cells wait", l.Pool().Used())
		}
		p.mustRead()
		cells := p.mustRead()
		want := cell.Header{Circuit: g.ID(), Command: cell.Destroy}
		if h := cell.ParseHeader(cells[0]); len(cells) != 1 || h != want {
			t.Fatalf("%d cells, the first is %+v, want %+v alone", len(cells), h, want)
		}
		if r, distance := cell.ParseDestroy(cells[0][cell.HeaderSize:]); r != cell.Altered || distance != 3 {
			t.Errorf("ended because %s at distance %d", r, distance)
		}
		if l.Legs() != 0 {
			t.Errorf("%d circuits are left", l.Legs())
		}
	})
}

// A circuit that was quiet does not wait for those that are not, and these
// have their turns one after the other.
func TestFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := responder(t, link.Config{})
		var bulk []*link.Leg
		for range 3 {
			g, _ := open(t, l)
			push(t, g, 4, 500)
			bulk = append(bulk, g)
		}
		synctest.Wait()
		p.mustRead()
		p.mustRead()
		p.mustRead()
		synctest.Wait() // a record is being written
		small, _ := open(t, l)
		p.mustRead()
		for i, c := range p.mustRead()[:4] {
			if id := cell.ParseHeader(c).Circuit; id != small.ID() {
				t.Errorf("cell %d is of circuit %d, want %d", i, id, small.ID())
			}
		}
		sent := make(map[uint32]int)
		for range 60 {
			for _, c := range p.mustRead() {
				sent[cell.ParseHeader(c).Circuit]++
			}
		}
		for _, g := range bulk {
			if n := sent[g.ID()]; n < 19*link.MaxCells || n > 21*link.MaxCells {
				t.Errorf("circuit %d sent %d of %d cells", g.ID(), n, 60*link.MaxCells)
			}
		}
	})
}

// Many circuits that are always quiet for a moment do not starve one that
// never is.
func TestNoStarvation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := responder(t, link.Config{})
		bulk, _ := open(t, l)
		push(t, bulk, 4, 196)
		var chatty []*link.Leg
		for range 2 * link.MaxCells {
			g, _ := open(t, l)
			chatty = append(chatty, g)
		}
		for sent, records := 0, 0; sent < 200; records++ {
			if records == 100 {
				t.Fatalf("%d cells in %d records", sent, records)
			}
			for _, c := range p.mustRead() {
				if cell.ParseHeader(c).Circuit == bulk.ID() {
					sent++
				}
			}
			for _, g := range chatty {
				if g.Queued() == 0 {
					push(t, g, 0, 1)
				}
			}
		}
	})
}

// A peer that asks and does not read the answers gets no more than a few.
func TestPingFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := initiator(t, link.Config{})
		ping := rawCell(0, cell.Ping, nil)
		for range 100 {
			p.write(p.record(ping, ping, ping, ping, ping, ping, ping, ping))
		}
		synctest.Wait()
		if n := l.Pool().Used(); n > 32 {
			t.Errorf("%d answers wait", n)
		}
		if l.Err() != nil {
			t.Error(l.Err())
		}
	})
}

// What an ended circuit has queued can be dropped; the other side still learns
// of the end. Circuits that live keep theirs.
func TestDropEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := responder(t, link.Config{PingEvery: time.Hour})
		ended, _ := open(t, l)
		push(t, ended, 4, 60)
		lives, _ := open(t, l)
		push(t, lives, 4, 20)
		synctest.Wait() // the first record is being written; nobody reads it
		ended.Close(cell.Altered, 3)
		queued, kept := ended.Queued(), lives.Queued()
		if n := l.DropEnding(); n != queued || queued == 0 || ended.Queued() != 0 || lives.Queued() != kept {
			t.Errorf("%d cells were dropped of %d, and %d are left of %d", n, queued, lives.Queued(), kept)
		}
		for {
			for _, b := range p.mustRead() {
				h := cell.ParseHeader(b)
				if h.Circuit != ended.ID() || h.Command != cell.Destroy {
					continue
				}
				if reason, distance := cell.ParseDestroy(b[cell.HeaderSize:]); reason != cell.Altered || distance != 3 {
					t.Errorf("it ended with %s, %d", reason, distance)
				}
				return
			}
		}
	})
}
