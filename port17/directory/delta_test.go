package directory

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"safing/netmap"
	"safing/netmap/netmaptest"
)

// world returns signed maps of a network of so many nodes and of it an hour
// later, and the later one's key shards.
func world(t testing.TB, p *press, nodes int) (first, later []byte, shards [][]byte) {
	t.Helper()
	m := netmaptest.World(1, nodes)
	next := netmaptest.WithKeys(1, netmaptest.Hour(2, m), time.Now())
	for i, m := range []*netmap.Map{m, next} {
		m, err := netmap.New("test", uint64(i+1), time.Now().Add(-time.Minute).Truncate(time.Second), time.Now().Add(time.Hour).Truncate(time.Second), m.Nodes)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := netmaptest.Sign(m, p.signers...)
		if err != nil {
			t.Fatal(err)
		}
		if first, later = later, signed; i == 0 {
			continue
		}
		if _, shards, err = m.Encode(); err != nil {
			t.Fatal(err)
		}
	}
	return first, later, shards
}

// hashesOf returns the hashes of the map's key shards.
func hashesOf(t testing.TB, p *press, signed []byte) [][sha256.Size]byte {
	t.Helper()
	m, err := p.network.Verify(signed, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return m.Shards()
}

// recorded notes how many bytes of maps were served, and what they build on.
type recorded struct {
	http.Handler
	bytes map[string]int
}

func (r recorded) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	counting := &counter{ResponseWriter: w}
	r.Handler.ServeHTTP(counting, q)
	if strings.HasPrefix(q.URL.Path, "/v1/map") {
		r.bytes[w.Header().Get(deltaHeader)] = counting.n
	}
}

type counter struct {
	http.ResponseWriter
	n int
}

func (c *counter) Write(b []byte) (int, error) {
	c.n += len(b)
	return c.ResponseWriter.Write(b)
}

// Who has a map gets what has changed since, and who has none a compressed one.
func TestDelta(t *testing.T) {
	p := newPress(t, 1)
	first, later, shards := world(t, p, 300)
	m := NewMirror(MirrorConfig{})
	m.Add(1, first, nil)
	served := recorded{m, make(map[string]int)}
	n := p.at(serve(t, served))
	c := New(Config{Network: n, State: t.TempDir()})
	if got, err := c.Fetch(t.Context()); err != nil || got.Sequence != 1 {
		t.Fatal(err)
	}
	m.Add(2, later, hashesOf(t, p, later), shards...)
	got, err := c.Fetch(t.Context())
	if err != nil || got.Sequence != 2 || !bytes.Equal(c.newest().signed, later) {
		t.Fatal(err)
	}
	if whole, delta := served.bytes["0"], served.bytes["1"]; whole == 0 || delta == 0 || whole > len(first)*3/4 || delta > whole/4 {
		t.Errorf("a map of %d bytes takes %d, what has changed in an hour %d", len(first), whole, delta)
	}
	for _, n := range got.Nodes {
		if _, err := n.Recipient(time.Now()); err != nil {
			t.Errorf("node %s: %v", n.Name, err)
		}
	}
}

// sending answers with the bytes, as something compressed that builds on the map.
func sending(b []byte, on string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("from") {
			w.Header().Set(deltaHeader, on)
		}
		w.Write(b)
	})
}

// What is compressed is refused if it is something else than the signed map, and
// does not take more memory than a map may.
func TestDeltaRefused(t *testing.T) {
	p := newPress(t, 1)
	signed := p.print(t, 6, time.Minute)
	head, body, err := netmap.SplitMap(signed)
	if err != nil {
		t.Fatal(err)
	}
	pack := func(body, old []byte) []byte {
		t.Helper()
		b, err := netmap.Compress(body, old)
		if err != nil {
			t.Fatal(err)
		}
		return netmap.JoinMap(head, b)
	}
	for name, c := range map[string]struct {
		answer http.Handler
		want   error
		text   string
	}{
		"garbage":    {sending(netmap.JoinMap(head, []byte("garbage")), "0"), netmap.ErrDelta, "compressed map is invalid"},
		"other base": {sending(pack(body, nil), "4"), netmap.ErrDelta, `it builds on map "4", which was not asked for`},
		"other body": {sending(pack([]byte("body"), nil), "0"), netmap.ErrMap, "body"},
		"bomb":       {sending(netmap.JoinMap(head, bomb()), "0"), netmap.ErrDelta, "size exceeds configured limit"},
		"headless":   {sending([]byte("x"), "0"), netmap.ErrMap, "it has no body"},
	} {
		t.Run(name, func(t *testing.T) {
			client, _ := follow(t, p, p.at(serve(t, c.answer)))
			_, err := client.Fetch(t.Context())
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %v with %q in it", err, c.want, c.text)
			}
			if m := client.Map(); m == nil || m.Sequence != 5 {
				t.Errorf("it has map %v, want 5", m)
			}
		})
	}
	// A source that can't compress is asked for whole maps.
	client, _ := follow(t, p, p.at(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("from") {
			w.Header().Set(deltaHeader, "5")
		}
		w.Write(signed)
	}))))
	client.Fetch(t.Context()) //nolint:errcheck // the next line is what counts
	if m, err := client.Fetch(t.Context()); err != nil || m.Sequence != 6 {
		t.Errorf("map %v, %v", m, err)
	}
}

// bomb is a zstd frame (RFC 8878) of few bytes that says it has 2 GB: blocks of
// one byte that is repeated.
func bomb() []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3} // a window of 8 MiB
	const size = 128 << 10
	for range 16 << 10 {
		header := uint32(size<<3 | 1<<1)
		b = append(b, byte(header), byte(header>>8), byte(header>>16), 'x')
	}
	return append(b, 1|1<<1|1<<3, 0, 0, 'x')
}

// A mirror answers with what changed since a map that it has; else without.
func TestMirrorDelta(t *testing.T) {
	p := newPress(t, 1)
	first, later, _ := world(t, p, 100)
	m := NewMirror(MirrorConfig{})
	m.Add(1, first, nil)
	m.Add(2, later, nil)
	for from, want := range map[uint64]string{0: "0", 1: "1", 2: "0", 9: "0"} {
		b, base, err := m.compressed(t.Context(), m.maps[1], from)
		if err != nil || strconv.FormatUint(base, 10) != want {
			t.Errorf("from %d: on %d, %v", from, base, err)
		}
		whole, err := expand(b, want, &held{Map: &netmap.Map{Sequence: 1}, signed: first})
		if err != nil || !bytes.Equal(whole, later) {
			t.Errorf("from %d: %d bytes, %v", from, len(whole), err)
		}
	}
	if len(m.maps[1].deltas) != 2 {
		t.Errorf("%d are kept", len(m.maps[1].deltas))
	}
}
