package token

import (
	"bytes"
	"os"
	"testing"
)

// Whatever is taken encodes to the same bytes again: one message has one form.

func FuzzChallenge(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseChallenge(b)
		if err != nil {
			return
		}
		sameBytes(t, b, func() ([]byte, error) { return c.Encode() })
	})
}

func FuzzToken(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		read, err := ParseToken(b)
		if err != nil {
			return
		}
		sameBytes(t, b, func() ([]byte, error) { return read.Encode(), nil })
		if spendIssuer().Key().Verify(read, CreditChallenge(issuerName, 1)) == nil {
			t.Error("a token of nobody verifies")
		}
	})
}

func FuzzRequest(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRequest(b)
		if err != nil {
			return
		}
		sameBytes(t, b, func() ([]byte, error) { return r.Encode(), nil })
	})
}

func FuzzResponse(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseResponse(b)
		if err != nil {
			return
		}
		sameBytes(t, b, func() ([]byte, error) { return r[:], nil })
	})
}

func FuzzIssuerKey(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseIssuerKey(b)
		if err != nil {
			return
		}
		sameBytes(t, b, func() ([]byte, error) { return k.Encode(), nil })
	})
}

func sameBytes(t *testing.T, b []byte, encode func() ([]byte, error)) {
	t.Helper()
	if again, err := encode(); err != nil || !bytes.Equal(again, b) {
		t.Errorf("%x was read and encodes to %x, %v", b, again, err)
	}
}

// A file of spent tokens is refused, or read the same twice.
func FuzzSpentFile(f *testing.F) {
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(epochPath(dir, 1), content, 0o600); err != nil {
			t.Fatal(err)
		}
		d := &faultyDisk{}
		s, err := openSpent(dir, SpentConfig{Limit: 100, Queue: 100}, d.disk())
		if err != nil {
			return
		}
		n := s.Len()
		if n >= len(content)/recordSize {
			t.Errorf("%d keys in %d bytes", n, len(content))
		}
		mustClose(t, s)
		if again := openOn(t, dir, d).Len(); again != n {
			t.Errorf("%d keys, and %d after another start", n, again)
		}
	})
}

func FuzzSpentFloor(f *testing.F) {
	f.Fuzz(func(t *testing.T, content []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/"+floorName, content, 0o600); err != nil {
			t.Fatal(err)
		}
		floor, err := readFloor(dir)
		if err == nil && !bytes.Equal(content, header(floorMagic, floor)) {
			t.Errorf("%x is read as %d", content, floor)
		}
	})
}
