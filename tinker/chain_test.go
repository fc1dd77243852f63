package tinker

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestChainSteps(t *testing.T) {
	a, b := handshake(t)
	key := a.Send.key
	for n := range 3 * stepUnits {
		content := bytes.Repeat([]byte{byte(n)}, n)
		typ, got, err := b.Recv.Open(a.Send.SealTo(nil, content, byte(n%128)))
		if err != nil || typ != byte(n%128) || !bytes.Equal(got, content) {
			t.Fatalf("message %d: type %d, %d bytes, %v", n, typ, len(got), err)
		}
	}
	if a.Send.key == key || a.Send.key != b.Recv.key {
		t.Error("the two ends did not step together")
	}
}

func TestChainStepsWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := handshake(t)
		key := a.Send.key
		send := func() {
			t.Helper()
			if typ, _, err := b.Recv.Open(a.Send.SealTo(nil, []byte("x"), 5)); err != nil || typ != 5 {
				t.Fatalf("type %d, %v", typ, err)
			}
		}
		send()
		time.Sleep(stepTime - time.Millisecond)
		send()
		if a.Send.key != key {
			t.Error("stepped before its time")
		}
		time.Sleep(time.Millisecond)
		send()
		if a.Send.key == key {
			t.Error("did not step in time")
		}
		send()
	})
}

// Whatever the sizes, both ends agree; any change ends the direction.
func TestChainProperty(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a, b := handshake(t)
		sizes := rapid.SliceOfN(rapid.IntRange(0, 3*unitSize), 1, 100).Draw(r, "sizes")
		broken := rapid.IntRange(0, len(sizes)-1).Draw(r, "broken")
		for n, size := range sizes {
			sealed := a.Send.SealTo(nil, make([]byte, size), 1)
			if n == broken {
				sealed[rapid.IntRange(0, len(sealed)-1).Draw(r, "byte")] ^= 1
			}
			_, _, err := b.Recv.Open(sealed)
			if want := n >= broken; errors.Is(err, ErrDecrypt) != want {
				r.Fatalf("message %d of %d bytes: %v", n, size, err)
			}
		}
	})
}

func TestOpenTo(t *testing.T) {
	a, b := handshake(t)
	sealed := a.Send.SealTo([]byte("before"), []byte("content"), 3)[len("before"):]
	kept := bytes.Clone(sealed)
	_, content, err := b.Recv.OpenTo(make([]byte, 0, 64), sealed)
	if err != nil || string(content) != "content" || !bytes.Equal(sealed, kept) {
		t.Errorf("%q, %v", content, err)
	}
	if _, _, err := b.Recv.Open(nil); !errors.Is(err, ErrDecrypt) {
		t.Errorf("nothing at all: %v, want %v", err, ErrDecrypt)
	}
}

func TestCellsDoNotAllocate(t *testing.T) {
	a, b := handshake(t)
	cell := make([]byte, unitSize)
	n := testing.AllocsPerRun(10*stepUnits, func() {
		a.Send.Seal(cell, 1)
		if _, _, err := b.Recv.Open(cell); err != nil {
			t.Fatal(err)
		}
	})
	if n > 1 { // the steps, one in 64 cells, take some
		t.Errorf("%v allocations for each cell", n)
	}
}

func BenchmarkRelayCell(b *testing.B) {
	b.Run("TK1", func(b *testing.B) {
		s, r := handshake(b)
		cell := make([]byte, unitSize)
		b.SetBytes(unitSize)
		b.ReportAllocs()
		for b.Loop() {
			s.Send.Seal(cell, 1)
			if _, _, err := r.Recv.Open(cell); err != nil {
				b.Fatal(err)
			}
		}
	})
}
