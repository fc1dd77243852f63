package tinker

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

const payloadSize = 4091

// A path is a route through relays in memory.
type path struct {
	onion  *Onion
	relays []*Relay
	offset int
}

func newPath(t testing.TB, offset int, workers *Workers, suites ...SuiteID) *path {
	t.Helper()
	p := &path{onion: NewOnion(payloadSize, offset, workers), offset: offset}
	for i, id := range suites {
		a, b := handshake(t, id)
		p.onion.Add(a)
		p.relays = append(p.relays, NewRelay(b, payloadSize, offset+i, workers))
	}
	return p
}

func (p *path) last() int { return len(p.relays) - 1 }

// content is where a payload for the last hop holds its content.
func (p *path) content(payload []byte) []byte {
	return payload[len(p.relays):][:ContentSize(payloadSize, p.offset+p.last())]
}

// payloads are cells for the last hop, each with its number as content.
func (p *path) payloads(from, n int) [][]byte {
	cells := make([][]byte, n)
	for i := range cells {
		cells[i] = make([]byte, payloadSize)
		fillContent(p.content(cells[i]), from+i)
	}
	return cells
}

func fillContent(b []byte, n int) { copy(b, fmt.Sprintf("content %d", n)) }

func isContent(b []byte, n int) bool {
	want := make([]byte, len(b))
	fillContent(want, n)
	return bytes.Equal(b, want)
}

// there takes sealed cells through the relays and returns the last one's view.
func (p *path) there(cells [][]byte) ([]Opened, error) {
	out := make([]Opened, len(cells))
	for i, r := range p.relays {
		dst := make([][]byte, len(cells))
		for k := range dst {
			dst[k] = make([]byte, 1+payloadSize)
		}
		if _, err := r.OpenAll(dst, cells, out); err != nil {
			return nil, fmt.Errorf("relay %d: %w", i, err)
		}
		for k := range cells {
			if i < p.last() && out[k].Type != LayerRelay {
				return nil, fmt.Errorf("relay %d got a layer of type %d", i, out[k].Type)
			}
			cells[k] = dst[k][1:]
		}
	}
	return out, nil
}

// back takes payloads of the given hop to the initiator's end of the route.
func (p *path) back(hop int, cells [][]byte) ([][]byte, error) {
	for i := hop - 1; i >= 0; i-- {
		dst := make([][]byte, len(cells))
		for k := range dst {
			dst[k] = make([]byte, payloadSize)
		}
		if err := p.relays[i].SealAll(dst, cells); err != nil {
			return nil, err
		}
		cells = dst
	}
	return cells, nil
}

// own are sealed payloads of the hop's own.
func (p *path) own(t testing.TB, hop, from, n int, typ byte) [][]byte {
	t.Helper()
	cells := make([][]byte, n)
	for i := range cells {
		cells[i] = make([]byte, payloadSize)
		fillContent(cells[i][1:1+ContentSize(payloadSize, p.offset+hop)], from+i)
		if err := p.relays[hop].SealOwn(cells[i], typ, nil); err != nil {
			t.Fatal(err)
		}
	}
	return cells
}

// Batches of any size arrive whole and in order through any route, with and
// without workers, while keys step with use and with time, and hops before the
// last send cells of their own.
func TestOnionProperty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		workers := NewWorkers(3)
		defer workers.Close()
		rapid.Check(bubble{t}, func(r *rapid.T) {
			suites := rapid.SliceOfN(rapid.SampledFrom(Suites()), 1, 6).Draw(r, "suites")
			offset := rapid.IntRange(0, 6-len(suites)).Draw(r, "offset")
			w := rapid.SampledFrom([]*Workers{nil, workers}).Draw(r, "workers")
			p := newPath(t, offset, w, suites...)
			for batch := range rapid.IntRange(1, 6).Draw(r, "batches") {
				n := rapid.IntRange(1, 100).Draw(r, "cells")
				time.Sleep(rapid.SampledFrom([]time.Duration{0, stepTime}).Draw(r, "pause"))
				checkThere(r, p, batch*1000, n)
				checkBack(r, t, p, batch*1000, n)
			}
		})
	})
}

// A bubble is a test without a deadline, which synctest does not let it have.
type bubble struct{ testing.TB }

func checkThere(r *rapid.T, p *path, from, n int) {
	cells := p.payloads(from, n)
	if err := p.onion.SealAll(cells, LayerLocal); err != nil {
		r.Fatal(err)
	}
	out, err := p.there(cells)
	if err != nil {
		r.Fatal(err)
	}
	for i, o := range out {
		if o.Type != LayerLocal || !isContent(o.Content, from+i) {
			r.Fatalf("cell %d of %d: type %d, content %.20q", i, n, o.Type, o.Content)
		}
	}
}

// checkBack lets another hop send in the midst of the batch.
func checkBack(r *rapid.T, t *testing.T, p *path, from, n int) {
	between, other := rapid.IntRange(0, n).Draw(r, "between"), rapid.IntRange(0, p.last()).Draw(r, "hop")
	var all [][]byte
	send := func(hop, from, n int, typ byte) {
		cells, err := p.back(hop, p.own(t, hop, from, n, typ))
		if err != nil {
			r.Fatal(err)
		}
		all = append(all, cells...)
	}
	send(p.last(), from, between, LayerLocal)
	send(other, 7, 1, LayerDrop)
	send(p.last(), from+between, n-between, LayerLocal)
	dst, out := make([][]byte, len(all)), make([]Opened, len(all))
	for i := range dst {
		dst[i] = make([]byte, payloadSize)
	}
	if _, err := p.onion.OpenAll(dst, all, out); err != nil {
		r.Fatal(err)
	}
	if o := out[between]; o.Hop != other || o.Type != LayerDrop || !isContent(o.Content, 7) {
		r.Fatalf("the cell of hop %d: hop %d, type %d", other, o.Hop, o.Type)
	}
	out = append(out[:between], out[between+1:]...)
	for i, o := range out {
		if o.Hop != p.last() || o.Type != LayerLocal || !isContent(o.Content, from+i) {
			r.Fatalf("cell %d of %d: hop %d, type %d, content %.20q", i, n, o.Hop, o.Type, o.Content)
		}
	}
}

// A changed cell dies at the next honest hop, and what follows it, too.
func TestTaggedCells(t *testing.T) {
	workers := NewWorkers(3)
	defer workers.Close()
	rapid.Check(t, func(r *rapid.T) {
		p := newPath(t, rapid.IntRange(0, 3).Draw(r, "offset"), workers, TK1, TK2, TK1)
		n := rapid.IntRange(1, 40).Draw(r, "cells")
		bad := rapid.IntRange(0, n-1).Draw(r, "bad")
		covered := LayerSize(payloadSize, p.offset)
		flip := rapid.IntRange(0, 8*covered-1).Draw(r, "bit")

		cells := p.payloads(0, n)
		if err := p.onion.SealAll(cells, LayerLocal); err != nil {
			r.Fatal(err)
		}
		cells[bad][flip/8] ^= 1 << (flip % 8)
		dst, out := make([][]byte, n), make([]Opened, n)
		for i := range dst {
			dst[i] = make([]byte, 1+payloadSize)
		}
		if opened, err := p.relays[0].OpenAll(dst, cells, out); opened != bad || !errors.Is(err, ErrDecrypt) {
			r.Fatalf("the entry opened %d of %d cells, %v; number %d was altered", opened, n, err, bad)
		}

		// Backward: the middle hop alters what it passes on.
		back, err := p.back(2, p.own(t, 2, 0, n, LayerLocal))
		if err != nil {
			r.Fatal(err)
		}
		back[bad][flip/8] ^= 1 << (flip % 8)
		for i := range dst {
			dst[i] = make([]byte, payloadSize)
		}
		opened, err := p.onion.OpenAll(dst, back, out)
		var layer *LayerError
		if opened != bad || !errors.As(err, &layer) || layer.Hop != 0 {
			r.Fatalf("opened %d of %d cells, %v; number %d was altered", opened, n, err, bad)
		}
	})
}

// The client learns which layer failed.
func TestLayerErrorNamesTheHop(t *testing.T) {
	for hop := range 3 {
		p := newPath(t, 1, nil, TK1, TK1, TK1)
		cells := p.own(t, 2, 0, 1, LayerLocal)
		if hop == 2 {
			cells[0][9] ^= 1
		}
		for i := 1; i >= 0; i-- {
			next := make([]byte, payloadSize)
			if err := p.relays[i].Seal(next, cells[0]); err != nil {
				t.Fatal(err)
			}
			if hop == i {
				next[9] ^= 1
			}
			cells[0] = next
		}
		_, err := p.onion.Open(cells[0])
		var layer *LayerError
		if !errors.As(err, &layer) || layer.Hop != hop {
			t.Errorf("hop %d altered the cell: %v", hop, err)
		}
	}
}

// A route is built hop by hop: what comes from behind the last hop known by
// now is the reply of the next.
func TestOnionGrows(t *testing.T) {
	p := newPath(t, 0, nil, TK1)
	reply := p.payloads(0, 1)
	copy(reply[0], "reply of the next hop")
	cell := make([]byte, payloadSize)
	if err := p.relays[0].Seal(cell, reply[0]); err != nil {
		t.Fatal(err)
	}
	o, err := p.onion.Open(cell)
	if err != nil || o.Type != LayerRelay || !bytes.HasPrefix(o.Content, []byte("reply of the next hop")) {
		t.Errorf("type %d, %.30q, %v", o.Type, o.Content, err)
	}
}

// Cells that come in one batch with a hop's ACCEPT open once the step is
// complete, however they are cut into batches.
func TestStepWithinABatch(t *testing.T) {
	workers := NewWorkers(2)
	defer workers.Close()
	for _, w := range []*Workers{nil, workers} {
		p := newPath(t, 0, w, TK1)
		a, b := handshake(t, TK1)
		hop := NewRelay(b, payloadSize, 1, w)
		p.onion.Add(a)
		p.relays = append(p.relays, hop)

		offer, err := a.Offer(TK1)
		if err != nil {
			t.Fatal(err)
		}
		step, err := b.Accept(offer, nil)
		if err != nil {
			t.Fatal(err)
		}
		cells := p.own(t, 1, 0, 10, LayerLocal)
		accept := make([]byte, payloadSize)
		PutStep(accept[1:][:ContentSize(payloadSize, 1)], step.Message)
		if err := hop.SealOwn(accept, LayerStep, step); err != nil {
			t.Fatal(err)
		}
		cells = append(append(cells, accept), p.own(t, 1, 10, 10, LayerLocal)...)
		if cells, err = p.back(1, cells); err != nil {
			t.Fatal(err)
		}

		dst, out := p.payloads(0, len(cells)), make([]Opened, len(cells))
		n, err := p.onion.OpenAll(dst, cells, out)
		if n != 11 || err != nil || out[10].Type != LayerStep {
			t.Fatalf("%d cells opened before the step is complete: %v", n, err)
		}
		message, err := ParseStep(out[10].Content)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Complete(message); err != nil {
			t.Fatal(err)
		}
		if n, err := p.onion.OpenAll(dst[11:], cells[11:], out[11:]); n != 10 || err != nil {
			t.Fatalf("%d cells opened behind the step: %v", n, err)
		}
		if !isContent(out[20].Content, 19) {
			t.Error("the last cell has another content")
		}
	}
}

// What cannot be sealed as it should be is a mistake of the caller's, one by
// one as in batches: nothing leaves unsealed, or with a flag that the sender
// does not obey.
func TestSealPanics(t *testing.T) {
	workers := NewWorkers(1)
	defer workers.Close()
	empty := NewOnion(payloadSize, 0, workers)
	p := newPath(t, 0, workers, TK1)
	s := p.onion.out.sealers[0]
	for name, seal := range map[string]func() error{
		"without hops":             func() error { return empty.Seal(p.payloads(0, 1)[0], LayerLocal) },
		"a batch without hops":     func() error { return empty.SealAll(p.payloads(0, 100), LayerLocal) },
		"a flag as type":           func() error { return p.onion.Seal(p.payloads(0, 1)[0], typeStep) },
		"a flag as a batch's type": func() error { return p.onion.SealAll(p.payloads(0, 10), typeRatchet|LayerLocal) },
		"no room for a type":       func() error { return s.Seal(make([]byte, tagSize), 1) },
		"no room for a tag":        func() error { return s.Seal(make([]byte, tagSize-1), 1) },
		"nothing":                  func() error { return s.Seal(nil, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			t.Errorf("sealed: %v", seal())
		})
	}
}

// A batch opens as its cells would one by one, also for a route without hops.
func TestOpenWithoutHops(t *testing.T) {
	workers := NewWorkers(1)
	defer workers.Close()
	cells := newPath(t, 0, nil, TK1).own(t, 0, 0, 100, LayerLocal)
	n, err := NewOnion(payloadSize, 0, workers).OpenAll(cells, cells, make([]Opened, len(cells)))
	if n != 0 || !errors.Is(err, ErrDecrypt) {
		t.Errorf("%d cells opened: %v", n, err)
	}
}

// A hop in the midst of a route gets a cell, and a step of the ratchet.
func TestSealForAHop(t *testing.T) {
	p := newPath(t, 2, nil, TK1, TK2, TK1)
	cell := make([]byte, payloadSize)
	copy(cell[2:], "for the middle")
	if err := p.onion.SealFor(1, cell, LayerLocal, nil); err != nil {
		t.Fatal(err)
	}
	passed := make([]byte, 1+payloadSize)
	if typ, _, err := p.relays[0].Open(passed, cell); err != nil || typ != LayerRelay {
		t.Fatalf("the entry: type %d, %v", typ, err)
	}
	typ, content, err := p.relays[1].Open(make([]byte, 1+payloadSize), passed[1:])
	if err != nil || typ != LayerLocal || !bytes.HasPrefix(content, []byte("for the middle")) {
		t.Errorf("the middle: type %d, %.20q, %v", typ, content, err)
	}
}

// What a relay passes on ends with bytes of its own, always others.
func TestRelayPads(t *testing.T) {
	p := newPath(t, 0, nil, TK1, TK1)
	seen := make(map[string]bool)
	for range 10 {
		cells := p.payloads(0, 1)
		if err := p.onion.SealAll(cells, LayerLocal); err != nil {
			t.Fatal(err)
		}
		dst := make([]byte, 1+payloadSize)
		if _, _, err := p.relays[0].Open(dst, cells[0]); err != nil {
			t.Fatal(err)
		}
		seen[string(dst[len(dst)-LayerOverhead:])] = true
	}
	if len(seen) != 10 {
		t.Errorf("%d paddings in 10 cells", len(seen))
	}
}

func TestCellsDoNotAllocate(t *testing.T) {
	workers := NewWorkers(2)
	defer workers.Close()
	for name, w := range map[string]*Workers{"alone": nil, "workers": workers} {
		p := newPath(t, 1, w, TK1)
		src, mid, dst := p.payloads(0, 16), p.payloads(0, 16), p.payloads(0, 16)
		for i := range mid {
			mid[i] = make([]byte, 1+payloadSize)
		}
		out := make([]Opened, 16)
		n := testing.AllocsPerRun(200, func() {
			errs := []error{p.onion.SealAll(src, LayerLocal)}
			_, err := p.relays[0].OpenAll(mid, src, out)
			errs = append(errs, err, p.relays[0].SealAll(src, dst))
			_, err = p.onion.OpenAll(dst, src, out)
			if err := errors.Join(append(errs, err)...); err != nil {
				t.Fatal(err)
			}
		})
		// 64 messages; a step of a chain, one for each 64, takes some.
		if n >= 64 {
			t.Errorf("%s: %v allocations for 64 messages", name, n)
		}
	}
}

func TestPadding(t *testing.T) {
	a, b := make([]byte, 64), make([]byte, 64)
	NewPadding().Fill(a)
	NewPadding().Fill(b)
	if bytes.Equal(a, b) || bytes.Equal(a[32:], make([]byte, 32)) {
		t.Errorf("%x, %x", a, b)
	}
}
