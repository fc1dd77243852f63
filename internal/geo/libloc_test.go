package geo

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// network is what a test's libloc database says of a prefix.
type network struct {
	prefix netip.Prefix
	entry
}

// as6 is the prefix as the database has it.
func as6(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4() {
		return netip.PrefixFrom(netip.AddrFrom16(p.Addr().As16()), p.Bits()+96)
	}
	return p
}

func encodeLibloc(networks ...network) []byte {
	nodes := [][3]uint32{{0, 0, noNetwork}}
	var data []byte
	for i, n := range networks {
		p := as6(n.prefix)
		raw, at := p.Addr().As16(), uint32(0)
		for bit := range p.Bits() {
			side := raw[bit/8] >> (7 - bit%8) & 1
			if nodes[at][side] == 0 {
				nodes[at][side] = uint32(len(nodes))
				nodes = append(nodes, [3]uint32{0, 0, noNetwork})
			}
			at = nodes[at][side]
		}
		nodes[at][2] = uint32(i)
		data = append(data, n.country[0], n.country[1], 0, 0)
		data = binary.BigEndian.AppendUint32(data, n.asn)
		data = append(data, 0, 0, 0, 0)
	}
	b := append([]byte(liblocMagic), liblocVersion)
	b = binary.BigEndian.AppendUint64(b, 1_700_000_000)
	b = append(b, make([]byte, 20)...)
	for _, section := range [][2]int{{64, len(data)}, {64 + len(data), len(nodes) * liblocRecord}} {
		b = binary.BigEndian.AppendUint32(b, uint32(section[0]))
		b = binary.BigEndian.AppendUint32(b, uint32(section[1]))
	}
	b = append(append(b, make([]byte, 64-len(b))...), data...)
	for _, n := range nodes {
		for _, number := range n {
			b = binary.BigEndian.AppendUint32(b, number)
		}
	}
	return b
}

// The deepest network that has an address counts.
func TestLibloc(t *testing.T) {
	prefixes := rapid.Custom(func(t *rapid.T) netip.Prefix {
		if rapid.Bool().Draw(t, "four") {
			a := netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.ByteRange(0, 3), 4, 4).Draw(t, "address")))
			return netip.PrefixFrom(a, rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
		}
		a := netip.AddrFrom16([16]byte(append([]byte{0x20}, rapid.SliceOfN(rapid.ByteRange(0, 3), 15, 15).Draw(t, "address")...)))
		return netip.PrefixFrom(a, rapid.IntRange(4, 128).Draw(t, "bits")).Masked()
	})
	entries := rapid.SampledFrom([]entry{{64500, [2]byte{'D', 'E'}}, {64501, [2]byte{'D', 'E'}}, {64500, [2]byte{'F', 'R'}}, {0, [2]byte{'S', 'E'}}, {64502, [2]byte{}}, {}})
	rapid.Check(t, func(t *rapid.T) {
		var networks []network
		for _, p := range rapid.SliceOfNDistinct(prefixes, 1, 20, rapid.ID[netip.Prefix]).Draw(t, "prefixes") {
			networks = append(networks, network{p, entries.Draw(t, "entry")})
		}
		r, err := parseLibloc(encodeLibloc(networks...))
		if err != nil && !strings.Contains(err.Error(), "no network") {
			t.Fatal(err)
		}
		if err != nil {
			r = new(ranges)
		}
		for _, n := range networks {
			for _, a := range []netip.Addr{n.prefix.Addr(), n.prefix.Addr().Prev(), n.prefix.Addr().Next()} {
				if !a.IsValid() {
					continue
				}
				var best network
				for _, m := range networks {
					if m.prefix.Contains(a) && (!best.prefix.IsValid() || m.prefix.Bits() > best.prefix.Bits()) {
						best = m
					}
				}
				want := strings.Trim(string(best.country[:]), "\x00")
				if country, asn := r.locate(a); country != want || asn != best.asn {
					t.Fatalf("%s is in %q, AS %d, want %q, AS %d", a, country, asn, want, best.asn)
				}
			}
		}
	})
}

func TestLiblocDamaged(t *testing.T) {
	whole := encodeLibloc(network{netip.MustParsePrefix("2001:db8::/32"), entry{64500, [2]byte{'D', 'E'}}})
	var good file
	if err := good.parse(whole); err != nil || good.source.Format != "libloc" || good.source.Built.Unix() != 1_700_000_000 {
		t.Errorf("the whole one: %v, %+v", err, good.source)
	}
	change := func(at int, to byte) []byte {
		b := append([]byte(nil), whole...)
		b[at] = to
		return b
	}
	const nodes = 64 + liblocRecord
	for name, b := range map[string][]byte{
		"header alone":    whole[:liblocHeader],
		"short":           whole[:len(whole)-1],
		"newer":           change(7, 2),
		"cycle":           change(nodes+3+liblocRecord, 0xff),
		"missing network": change(len(whole)-1, 9),
		"empty":           encodeLibloc(),
	} {
		var f file
		if err := f.parse(b); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
	loop := change(nodes+liblocRecord+3, 1) // the second node leads to itself
	if _, err := parseLibloc(loop); err == nil {
		t.Error("a tree that is none was taken")
	}
}
