package tinker

import (
	"bytes"
	"errors"
	"testing"
)

// sealRaw seals a message whose type byte and flags are what the other end
// likes, in place, and obeys the flags as that end has to.
func sealRaw(s *Sealer, buf []byte) {
	head := buf[0]
	s.aead.Seal(buf[:0], s.next(), buf[:len(buf)-tagSize], nil)
	s.used(len(buf), head)
}

// A message of the other end, or of somebody between.
func FuzzOpen(f *testing.F) {
	v := vectorOf(f, TK1)
	f.Add([]byte(v.Messages[0].Sealed), false)
	f.Add([]byte("\x01content"), true)
	s := suiteOf(f, TK1)
	f.Fuzz(func(t *testing.T, data []byte, genuine bool) {
		a, b := sessionOf(t, s, v.Transcript, v.Root, true), sessionOf(t, s, v.Transcript, v.Root, false)
		sealed := bytes.Clone(data)
		genuine = genuine && len(data) > 0
		recorded := !genuine && bytes.Equal(data, v.Messages[0].Sealed)
		if genuine {
			sealed = append(sealed, make([]byte, tagSize)...)
			sealRaw(a.Send, sealed)
		}
		typ, content, err := b.Recv.OpenTo(nil, sealed)
		switch {
		case (err == nil) != (genuine || recorded):
			t.Fatalf("genuine %v: %v", genuine, err)
		case err != nil:
			expectOneOf(t, err, ErrDecrypt)
		case typ > MaxType || len(content) != len(sealed)-LayerOverhead:
			t.Errorf("type %d, %d bytes of %d", typ, len(content), len(sealed))
		}
		// The direction goes on only after a message that is genuine and does
		// not end the chain.
		_, _, err = b.Recv.Open(seal(t, a.Send, nil, 1))
		if want := genuine && !b.Recv.held; (err == nil) != want {
			t.Errorf("the next message: %v", err)
		}
	})
}

// Cells of a batch for the targets below: the fuzzed one has the place odd,
// which none of the vectors' cells has.
const batch, odd = grain + 3, 4

// fuzzed is a payload of the given size that begins with data.
func fuzzed(data []byte, size int) []byte {
	payload := make([]byte, size)
	copy(payload, data)
	return payload
}

// compareBatch says whether a batch on several cores gave what the same cells
// gave one by one.
func compareBatch(t *testing.T, one, all []Opened, oneErr, allErr error) {
	t.Helper()
	if len(one) != len(all) || (oneErr == nil) != (allErr == nil) || !errors.Is(allErr, ErrDecrypt) && allErr != nil {
		t.Fatalf("one by one %d and %v, together %d and %v", len(one), oneErr, len(all), allErr)
	}
	for i := range one {
		if one[i].Hop != all[i].Hop || one[i].Type != all[i].Type || !bytes.Equal(one[i].Content, all[i].Content) {
			t.Errorf("cell %d: %v one by one, %v together", i, one[i], all[i])
		}
	}
}

// A cell back to the initiator, where the first layers are genuine and hold
// what the hop behind them likes.
func FuzzOnionOpen(f *testing.F) {
	v := readVectors(f).Onion
	for _, c := range v.Cells {
		f.Add([]byte(c.Layers[0]), uint8(0))
		f.Add(append([]byte{c.Type}, c.Content...), uint8(len(c.Layers)))
	}
	workers := NewWorkers(2)
	f.Cleanup(workers.Close)
	f.Fuzz(func(t *testing.T, data []byte, genuine uint8) {
		onion, relays := v.route(t)
		layers := int(genuine) % (len(relays) + 1)
		var cells [][]byte
		for i := range batch {
			cell := make([]byte, v.Size)
			hop := len(relays) - 1
			if i == odd {
				if hop = layers - 1; hop < 0 {
					cells = append(cells, fuzzed(data, v.Size))
					continue
				}
				copy(cell, data)
			} else {
				cell[0] = LayerLocal
			}
			sealRaw(relays[hop].out.sealers[0], cell[:LayerSize(v.Size, v.Offset+hop)])
			for hop--; hop >= 0; hop-- {
				next := make([]byte, v.Size)
				if err := relays[hop].Seal(next, cell); err != nil {
					t.Fatal(err)
				}
				cell = next
			}
			cells = append(cells, cell)
		}
		other, _ := v.route(t)
		other.in.workers = workers
		dst, out := payloadsOf(v.Size), make([]Opened, batch)
		opened, allErr := other.OpenAll(dst, cells, out)
		if allErr == nil && opened < batch { // the end of a chain, without an offer
			_, allErr = other.OpenAll(dst[opened:], cells[opened:], out[opened:])
		}
		var one []Opened
		var oneErr error
		for i := 0; i < batch && oneErr == nil; i++ {
			var o Opened
			if o, oneErr = onion.Open(cells[i]); oneErr == nil {
				one = append(one, o)
			}
		}
		compareBatch(t, one, out[:opened], oneErr, allErr)
		if opened < odd || layers == 0 && opened > odd || layers == len(relays) && opened == odd {
			t.Errorf("%d cells were opened, number %d has %d genuine layers: %v", opened, odd, layers, allErr)
		}
	})
}

func payloadsOf(size int) [][]byte {
	all := make([][]byte, batch)
	for i := range all {
		all[i] = make([]byte, size)
	}
	return all
}

// A cell to a hop, from an initiator who puts into the layer what it likes, or
// from somebody between.
func FuzzRelayOpen(f *testing.F) {
	v := readVectors(f).Onion
	f.Add([]byte(v.Cells[0].Layers[0]), false)
	f.Add([]byte("\x01content"), true)
	workers := NewWorkers(2)
	f.Cleanup(workers.Close)
	f.Fuzz(func(t *testing.T, data []byte, genuine bool) {
		onion, relays := v.route(t)
		var cells [][]byte
		for i := range batch {
			cell := fuzzed([]byte{LayerRelay}, v.Size)
			if i == odd {
				cell = fuzzed(data, v.Size)
			}
			if i != odd || genuine {
				sealRaw(onion.out.sealers[0], cell[:LayerSize(v.Size, v.Offset)])
			}
			cells = append(cells, cell)
		}
		_, others := v.route(t)
		others[0].in.workers = workers
		dst, out := payloadsOf(1+v.Size), make([]Opened, batch)
		opened, allErr := others[0].OpenAll(dst, cells, out)
		var one []Opened
		var oneErr error
		for i := 0; i < batch && oneErr == nil; i++ {
			var o Opened
			o.Type, o.Content, oneErr = relays[0].Open(make([]byte, 1+v.Size), cells[i])
			if oneErr == nil {
				one = append(one, o)
			}
		}
		compareBatch(t, one, out[:opened], oneErr, allErr)
		if opened < odd || (opened == odd) == genuine {
			t.Errorf("%d cells were opened: %v", opened, allErr)
		}
	})
}
