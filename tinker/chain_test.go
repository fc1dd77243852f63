package tinker

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// seal is SealTo where it has to work.
func seal(t testing.TB, s *Sealer, content []byte, typ byte) []byte {
	t.Helper()
	sealed, err := s.SealTo(nil, content, typ)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// open is Open where it has to work.
func open(t testing.TB, o *Opener, sealed []byte) []byte {
	t.Helper()
	_, content, err := o.Open(sealed)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// perSuite runs a test with each suite.
func perSuite(t *testing.T, test func(*testing.T, SuiteID)) {
	for _, id := range Suites() {
		t.Run(id.String(), func(t *testing.T) { test(t, id) })
	}
}

func TestChainSteps(t *testing.T) {
	perSuite(t, func(t *testing.T, id SuiteID) {
		a, b := handshake(t, id)
		key := bytes.Clone(a.Send.key)
		for n := range 3 * stepUnits {
			content := bytes.Repeat([]byte{byte(n)}, n)
			typ, got, err := b.Recv.Open(seal(t, a.Send, content, byte(n%(MaxType+1))))
			if err != nil || typ != byte(n%(MaxType+1)) || !bytes.Equal(got, content) {
				t.Fatalf("message %d: type %d, %d bytes, %v", n, typ, len(got), err)
			}
		}
		if bytes.Equal(a.Send.key, key) || !bytes.Equal(a.Send.key, b.Recv.key) {
			t.Error("the two ends did not step together")
		}
	})
}

func TestChainStepsWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := handshake(t, TK1)
		key := bytes.Clone(a.Send.key)
		send := func() {
			t.Helper()
			if typ, _, err := b.Recv.Open(seal(t, a.Send, []byte("x"), 5)); err != nil || typ != 5 {
				t.Fatalf("type %d, %v", typ, err)
			}
		}
		send()
		time.Sleep(stepTime - time.Millisecond)
		send()
		if !bytes.Equal(a.Send.key, key) {
			t.Error("stepped before its time")
		}
		time.Sleep(time.Millisecond)
		send()
		if bytes.Equal(a.Send.key, key) {
			t.Error("did not step in time")
		}
		send()
	})
}

func TestLimits(t *testing.T) {
	limits := Limits{Life: time.Hour, Root: time.Minute, RootBytes: 10000}
	tests := map[string]struct {
		wait time.Duration
		size int
		want error
	}{
		"within all":     {59 * time.Second, 10000 - LayerOverhead, nil},
		"a root too old": {time.Minute, 1, ErrExpired},
		"too much":       {0, 10001 - LayerOverhead, ErrExpired},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := handshake(t, TK1)
				a.Limit(limits)
				time.Sleep(test.wait)
				sealed, err := a.Send.SealTo(nil, make([]byte, test.size), 1)
				if !errors.Is(err, test.want) {
					t.Fatalf("seal: %v, want %v", err, test.want)
				}
				if sealed == nil { // as one would who ignores the limit
					a.Limit(DefaultLimits())
					sealed = seal(t, a.Send, make([]byte, test.size), 1)
				}
				b.Limit(limits)
				if _, _, err := b.Recv.Open(sealed); !errors.Is(err, test.want) {
					t.Errorf("open: %v, want %v", err, test.want)
				}
			})
		})
	}
}

// Steps of the ratchet renew a root, but not the session.
func TestLifeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := handshake(t, TK1)
		for range 11 {
			time.Sleep(5 * time.Minute)
			step(t, a, b, TK1)
		}
		time.Sleep(5 * time.Minute)
		if _, err := a.Send.SealTo(nil, nil, 1); !errors.Is(err, ErrExpired) {
			t.Errorf("after an hour: %v, want %v", err, ErrExpired)
		}
	})
}

// Whatever the sizes, both ends agree; any change ends the direction.
func TestChainProperty(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a, b := handshake(t, rapid.SampledFrom(Suites()).Draw(r, "suite"))
		sizes := rapid.SliceOfN(rapid.IntRange(0, 3*unitSize), 1, 100).Draw(r, "sizes")
		broken := rapid.IntRange(0, len(sizes)-1).Draw(r, "broken")
		for n, size := range sizes {
			sealed := seal(t, a.Send, make([]byte, size), 1)
			if n == broken {
				sealed[rapid.IntRange(0, len(sealed)-1).Draw(r, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
			}
			_, _, err := b.Recv.Open(sealed)
			if want := n >= broken; errors.Is(err, ErrDecrypt) != want {
				r.Fatalf("message %d of %d bytes: %v", n, size, err)
			}
		}
	})
}

func TestOpenTo(t *testing.T) {
	a, b := handshake(t, TK1)
	sealed, err := a.Send.SealTo([]byte("before"), []byte("content"), 3)
	if err != nil {
		t.Fatal(err)
	}
	sealed = sealed[len("before"):]
	kept := bytes.Clone(sealed)
	_, content, err := b.Recv.OpenTo(make([]byte, 0, 64), sealed)
	if err != nil || string(content) != "content" || !bytes.Equal(sealed, kept) {
		t.Errorf("%q, %v", content, err)
	}
	if _, _, err := b.Recv.Open(nil); !errors.Is(err, ErrDecrypt) {
		t.Errorf("nothing at all: %v, want %v", err, ErrDecrypt)
	}
}
