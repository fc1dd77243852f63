package netmap

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"safing/internal/canonical"
)

// drawDescriptor draws what a node could say of itself, with everything that
// the binding holds.
func drawDescriptor(t *rapid.T, id NodeID) *Descriptor {
	text := func(what string, least, most int) string {
		return rapid.StringOfN(rapid.RuneFrom([]rune("aZ0 .-äß漢")), least, most, most).Draw(t, what)
	}
	addr := func() netip.AddrPort {
		ip := netip.AddrFrom4([4]byte{byte(rapid.IntRange(1, 100).Draw(t, "ip")), 2, 3, 4})
		if rapid.Bool().Draw(t, "v6") {
			ip = netip.AddrFrom16([16]byte{0x26, byte(rapid.IntRange(0, 255).Draw(t, "ip6")), 15: 1})
		}
		return netip.AddrPortFrom(ip, uint16(rapid.IntRange(1, 65535).Draw(t, "port")))
	}
	d := &Descriptor{
		ID: id, Name: text("name", 1, 8), Owner: text("owner", 1, 3), Group: text("group", 0, 2),
		Country: rapid.SampledFrom([]string{"", "DE", "AT", "US"}).Draw(t, "country"), ASN: rapid.Uint32Range(0, 5).Draw(t, "asn"),
		Version: text("version", 0, 2), Contact: text("contact", 0, 20), Closed: rapid.Bool().Draw(t, "closed"),
		MaxDelay:   time.Duration(rapid.IntRange(0, 10000).Draw(t, "delay")) * time.Millisecond,
		MaxPadding: rapid.IntRange(0, 1000).Draw(t, "padding"), Load: 10 * rapid.IntRange(0, 10).Draw(t, "load"),
		Capacity: rapid.Uint64().Draw(t, "capacity"), Published: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "published"), 0).UTC(),
	}
	for range rapid.IntRange(1, 3).Draw(t, "addresses") {
		d.Addresses = append(d.Addresses, addr())
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "entrances") {
		e := Entrance{Wrapping: Wrapping(1 + i), Addr: addr()}
		if e.Wrapping == TLS {
			e.Host = rapid.SampledFrom([]string{"", "www.example.org"}).Draw(t, "host")
		}
		d.Entrances = append(d.Entrances, e)
	}
	rules := rapid.SliceOfN(rapid.SampledFrom([]string{"web", "reduced", "reject *:25", "accept 127.0.0.0/8:*", "accept *:*"}), 0, 3).Draw(t, "rules")
	d.Exit, _ = ParseExitPolicy(rules)
	if rapid.Bool().Draw(t, "has owner's key") {
		key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(rapid.IntRange(1, 3).Draw(t, "owner's key"))}, 32))
		copy(d.OwnerKey[:], key.Public().(ed25519.PublicKey))
		d.OwnerProof = SignOwner(key, d.ID, d.Group)
	}
	return d
}

func drawCrossed(t *rapid.T) Crossed {
	asns := rapid.SliceOfN(rapid.Uint32Range(0, 9), 0, 8).Draw(t, "asns")
	if rapid.Bool().Draw(t, "large") {
		asns = append(asns, 1<<32-1)
	}
	return NewCrossed(asns, rapid.SliceOfN(rapid.SampledFrom([]string{"DE", "FR", "US"}), 0, 3).Draw(t, "countries"), rapid.Bool().Draw(t, "traced"))
}

// drawMap draws a map. Some of its identities begin with the same bytes.
func drawMap(t *rapid.T) *Map {
	keys := make([]ed25519.PrivateKey, rapid.IntRange(0, 6).Draw(t, "nodes"))
	var nodes []Node
	for i := range keys {
		keys[i] = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i + 1)}, 32))
		id := NodeID(keys[i].Public().(ed25519.PublicKey))
		if rapid.Bool().Draw(t, "alike") {
			copy(id[:refSize], "same")
		}
		nodes = append(nodes, Node{
			Descriptor: drawDescriptor(t, id), Measured: rapid.Uint64().Draw(t, "measured"),
			Flags: Flags(rapid.IntRange(0, int(knownFlags)).Draw(t, "flags")),
		})
	}
	for i := range nodes {
		for k := range nodes {
			if i != k && rapid.Bool().Draw(t, "linked") {
				rtt := time.Duration(rapid.Int64Range(0, int64(5*time.Second)).Draw(t, "rtt"))
				nodes[i].Links = append(nodes[i].Links, Link{To: nodes[k].ID, RTT: rtt, Crossed: drawCrossed(t)})
			}
		}
	}
	m, err := New("test", 7, time.Unix(1e9, 0).UTC(), time.Unix(2e9, 0).UTC(), nodes)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "notices") {
		m.Notices = append(m.Notices, Notice{Signed: fmt.Appendf(nil, "%d", 9-i), Appeal: rapid.SampledFrom([]string{"", "no"}).Draw(t, "appeal")})
	}
	m.Policy = []byte(rapid.SampledFrom([]string{"", "policy"}).Draw(t, "policy"))
	return m
}

// What a body says of a node gives the binding of the descriptor that the node
// has signed, and a map that was read gives the same body again.
func TestBody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMap(t)
		body, shards, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeMap(m.Header(body), body)
		if err != nil {
			t.Fatal(err)
		}
		for i, n := range m.Nodes {
			g := got.Nodes[i]
			if g.ID != n.ID || g.Binding() != n.Binding() {
				t.Errorf("node %d has another binding", i)
			}
			if g.Closed != n.Closed || g.Load != n.Load || g.Flags != n.Flags || (g.Measured == 0) != (n.Measured == 0) {
				t.Errorf("node %d: %+v, want %+v", i, g, n)
			}
			checkEdges(t, m.Edges(i), got.Edges(i))
		}
		if again, none, err := got.Encode(); err != nil || !bytes.Equal(again, body) || none != nil {
			t.Errorf("what was read gives another body, or %v", err)
		}
		if len(got.Shards()) != len(shards) || len(got.Notices) != len(m.Notices) || string(got.Policy) != string(m.Policy) {
			t.Error("shards, statements or policy are lost")
		}
	})
}

func checkEdges(t *rapid.T, made, read []Edge) {
	byEnd := func(all []Edge) []Edge {
		all = slices.Clone(all)
		slices.SortFunc(all, func(a, b Edge) int { return a.To - b.To })
		return all
	}
	made, read = byEnd(made), byEnd(read)
	if !slices.EqualFunc(made, read, func(a, b Edge) bool {
		off := max(a.RTT-b.RTT, b.RTT-a.RTT)
		near := off <= a.RTT*21/1000 || a.RTT < 200*time.Microsecond || a.RTT > 4*time.Second
		return a.To == b.To && near && (a.RTT == 0) == (b.RTT == 0) && slices.Equal(a.ASNs, b.ASNs) && slices.Equal(a.Countries, b.Countries) && a.Traced == b.Traced
	}) {
		t.Errorf("links %+v, want %+v", read, made)
	}
}

func TestScale(t *testing.T) {
	for _, s := range []*scale{rttScale(), rateScale()} {
		for code, v := range s {
			if got := s.code(v); got != byte(code) || code > 0 && v <= s[code-1] {
				t.Errorf("%d has code %d, want %d", v, got, code)
			}
		}
		if s.code(1) != 1 || s.code(1<<63) != 255 {
			t.Error("what is beyond the scale is not at its end")
		}
	}
}

// A body has one form, and what does not fit together is refused.
func TestSpoiltBody(t *testing.T) {
	m := newMap(t, 3)
	for i := range m.Nodes {
		m.Nodes[i].Links = nil
		for k := range m.Nodes {
			if i != k {
				m.Nodes[i].Links = append(m.Nodes[i].Links, Link{To: m.Nodes[k].ID, RTT: time.Millisecond})
			}
		}
	}
	m, err := New(m.Network, m.Sequence, m.ValidAfter, m.ValidUntil, m.Nodes)
	if err != nil {
		t.Fatal(err)
	}
	m.Notices = []Notice{{Signed: []byte("a")}, {Signed: []byte("b")}}
	for name, spoil := range map[string]func(*bodyWire){
		"":                  func(*bodyWire) {},
		"order":             func(w *bodyWire) { slices.Reverse(w.IDs) },
		"part of a node":    func(w *bodyWire) { w.IDs = w.IDs[1:] },
		"names":             func(w *bodyWire) { w.Names = w.Names[1:] },
		"no address":        func(w *bodyWire) { w.Addresses[0] = nil },
		"half an address":   func(w *bodyWire) { w.Addresses[0][0] = w.Addresses[0][0][1:] },
		"owner":             func(w *bodyWire) { w.Owners.Of[0] = 9 },
		"unused owner":      func(w *bodyWire) { w.Owners.Values = append(w.Owners.Values, ownerWire{Name: "x", Key: []byte{}}) },
		"owner twice":       func(w *bodyWire) { w.Owners.Values = append(w.Owners.Values, w.Owners.Values[0]); w.Owners.Of[0] = 1 },
		"long key":          func(w *bodyWire) { w.Owners.Values[0].Key = make([]byte, 33) },
		"zero key":          func(w *bodyWire) { w.Owners.Values[0].Key = make([]byte, 32) },
		"preset":            func(w *bodyWire) { w.Exits.Values[0] = []string{"web"} },
		"flag":              func(w *bodyWire) { w.Flags[0] |= 1 << 5 },
		"load":              func(w *bodyWire) { w.Loads[0] = 11 },
		"delay":             func(w *bodyWire) { w.Mixing.Values[0][0] = 10001 },
		"too few links":     func(w *bodyWire) { w.Links.Counts[0]-- },
		"too many links":    func(w *bodyWire) { w.Links.Counts[2]++ },
		"link to nobody":    func(w *bodyWire) { w.Links.Refs[0]++ },
		"link backwards":    func(w *bodyWire) { copy(w.Links.Refs[8:], w.IDs[:4]) },
		"link twice":        func(w *bodyWire) { copy(w.Links.Refs[4:], w.Links.Refs[:4]) },
		"short round trips": func(w *bodyWire) { w.Links.RTTs = w.Links.RTTs[1:] },
		"rank":              func(w *bodyWire) { w.Links.Ranks = []uint32{0, 0} },
		"high rank":         func(w *bodyWire) { w.Links.Ranks = []uint32{0, 1} },
		"half a rank":       func(w *bodyWire) { w.Links.Ranks = []uint32{0} },
		"short crossed":     func(w *bodyWire) { w.Links.Crossed = w.Links.Crossed[1:] },
		"long crossed":      func(w *bodyWire) { w.Links.Crossed = append(w.Links.Crossed, 0) },
		"crossed bit":       func(w *bodyWire) { w.Links.Crossed[0] = 0x80 },
		"crossed system":    func(w *bodyWire) { w.Links.Crossed = append([]byte{0, 32, 0}, w.Links.Crossed[2:]...) },
		"large system": func(w *bodyWire) {
			w.Links.Crossed = append([]byte{0, 32, 0xff, 0xff, 0xff, 0xff, 0x1f}, w.Links.Crossed[2:]...)
		},
		"crossed country":    func(w *bodyWire) { w.Links.Crossed = append([]byte{0, 1, 'd', 'e'}, w.Links.Crossed[2:]...) },
		"keys":               func(w *bodyWire) { w.Keys = w.Keys[1:] },
		"order of notices":   func(w *bodyWire) { slices.Reverse(w.Notices) },
		"notice twice":       func(w *bodyWire) { w.Notices[1].Signed = w.Notices[0].Signed },
		"appeal":             func(w *bodyWire) { w.Notices[0].Appeal = "\x1b" },
		"null for a list":    func(w *bodyWire) { w.Links.Ranks = nil },
		"null for entrances": func(w *bodyWire) { w.Entrances[0] = nil },
	} {
		w := m.body(make([][sha256.Size]byte, 1))
		spoil(w)
		body, err := canonical.Encode(w)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeMap(m.Header(body), body); name == "" && err != nil || name != "" && !errors.Is(err, ErrMap) {
			t.Errorf("%s: %v, want %v", name, err, ErrMap)
		}
	}
	body, _, _ := m.Encode()
	other := m.Header(append(body, 0))
	if _, err := DecodeMap(other, body); !errors.Is(err, ErrMap) {
		t.Errorf("with the hash of another body: %v", err)
	}
	if _, err := DecodeMap(m.Header(append(body, 0)), append(body, 0)); !errors.Is(err, ErrMap) {
		t.Errorf("with a byte behind it: %v", err)
	}
	if _, err := DecodeMap(other, make([]byte, MaxBody+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too long: %v", err)
	}
}

func FuzzDecodeMap(f *testing.F) {
	made := newMap(f, 2)
	made.Nodes[0].Links = []Link{{To: made.Nodes[1].ID, RTT: time.Second, Crossed: NewCrossed([]uint32{3, 64500}, []string{"DE", "FR"}, true)}}
	made.Nodes[1].Links = []Link{{To: made.Nodes[0].ID, RTT: time.Second}}
	made, err := New("test", 1, made.ValidAfter, made.ValidUntil, made.Nodes)
	if err != nil {
		f.Fatal(err)
	}
	body, _, err := made.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMap(made.Header(b), b)
		if err != nil {
			if !errors.Is(err, ErrMap) {
				t.Error(err)
			}
			return
		}
		for i, n := range m.Nodes {
			n.Binding()
			m.Edges(i)
		}
		if again, _, err := m.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Errorf("another form of the same body: %v", err)
		}
	})
}
