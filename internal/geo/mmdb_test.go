package geo

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
)

// A record is what a test's MMDB file says of a prefix.
type record struct {
	prefix string
	fields []any // names and values: strings, numbers, or such lists again
}

// encodeMMDB makes a file with 24-bit records
// (https://maxmind.github.io/MaxMind-DB/).
func encodeMMDB(kind string, built uint64, records ...record) []byte {
	type node [2]int // of another node, ^offset of data, or 0 for nothing
	nodes := []node{{}}
	var data []byte
	for _, r := range records {
		p := netip.MustParsePrefix(r.prefix)
		bits, raw := p.Bits(), p.Addr().As16()
		if p.Addr().Is4() { // which lie at ::/96
			bits, raw = bits+96, [16]byte(append(make([]byte, 12), p.Addr().AsSlice()...))
		}
		at := 0
		for i := range bits {
			side := raw[i/8] >> (7 - i%8) & 1
			if i == bits-1 {
				nodes[at][side] = ^len(data)
				break
			}
			if nodes[at][side] <= 0 {
				nodes = append(nodes, node{})
				nodes[at][side] = len(nodes) - 1
			}
			at = nodes[at][side]
		}
		data = encodeValue(data, r.fields)
	}
	var b []byte
	for _, n := range nodes {
		for _, to := range n {
			switch {
			case to == 0:
				to = len(nodes)
			case to < 0:
				to = len(nodes) + 16 + ^to
			}
			b = append(b, byte(to>>16), byte(to>>8), byte(to))
		}
	}
	b = append(append(b, make([]byte, 16)...), data...)
	return encodeValue(append(b, metadataMark...), []any{
		"binary_format_major_version", uint16(2), "binary_format_minor_version", uint16(0), "build_epoch", built,
		"database_type", kind, "description",
		[]any{},
		"ip_version", uint16(6), "languages",
		[]string{},
		"node_count", uint32(len(nodes)), "record_size", uint16(24),
	})
}

func encodeValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return append(append(b, 2<<5|byte(len(v))), v...) // under 29 bytes
	case uint16:
		return binary.BigEndian.AppendUint16(append(b, 5<<5|2), v)
	case uint32:
		return binary.BigEndian.AppendUint32(append(b, 6<<5|4), v)
	case uint64:
		return binary.BigEndian.AppendUint64(append(b, 8, 9-7), v)
	case []string:
		return append(b, byte(len(v)), 11-7)
	case []any:
		b = append(b, 7<<5|byte(len(v)/2))
		for _, field := range v {
			b = encodeValue(b, field)
		}
	}
	return b
}

func TestMMDBLayouts(t *testing.T) {
	for _, test := range []struct {
		name    string
		fields  []any
		country string
		asn     uint32
	}{
		{"GeoLite2-Country, DB-IP", []any{"country", []any{"iso_code", "DE"}, "registered_country", []any{"iso_code", "US"}}, "DE", 0},
		{"GeoLite2-Country without a country", []any{"registered_country", []any{"iso_code", "US"}}, "US", 0},
		{"GeoLite2-ASN, DB-IP", []any{"autonomous_system_number", uint32(64500)}, "", 64500},
		{"ip-location-db", []any{"country_code", "FR"}, "FR", 0},
		{"IPinfo Lite", []any{"asn", "AS64501", "country", "Sweden", "country_code", "SE"}, "SE", 64501},
		{"IPinfo, former", []any{"country", "SE"}, "SE", 0},
		{"both in one", []any{"country", []any{"iso_code", "JP"}, "autonomous_system_number", uint32(64502)}, "JP", 64502},
		{"types that are wrong", []any{"country", []any{"iso_code", uint32(7)}, "country_code", "CH", "asn", "many"}, "CH", 0},
	} {
		m, err := newMMDB(encodeMMDB("Test", 0, record{"192.0.2.0/24", test.fields}, record{"2001:db8::/32", test.fields}))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		for _, a := range []string{"192.0.2.7", "2001:db8::7"} {
			if country, asn := m.locate(netip.MustParseAddr(a)); country != test.country || asn != test.asn {
				t.Errorf("%s: %s is in %q, AS %d, want %q, AS %d", test.name, a, country, asn, test.country, test.asn)
			}
		}
		if country, asn := m.locate(netip.MustParseAddr("198.51.100.1")); country != "" || asn != 0 {
			t.Errorf("%s: an address that it lacks is in %q, AS %d", test.name, country, asn)
		}
	}
}

func TestMMDBWithoutUse(t *testing.T) {
	if _, err := newMMDB(encodeMMDB("Names", 0, record{"192.0.2.0/24", []any{"name", "x"}})); err == nil {
		t.Error("a file that knows neither countries nor networks was taken")
	}
}

func FuzzParse(f *testing.F) {
	whole := encodeMMDB("Test", 1, record{"192.0.2.0/24", []any{"country_code", "FR"}})
	f.Add(whole)
	f.Add(whole[:len(whole)-5])
	f.Add(slices.Concat(whole[:3], whole[9:]))
	f.Add(encodeLibloc(network{netip.MustParsePrefix("192.0.2.0/24"), entry{64500, [2]byte{'D', 'E'}}}))
	f.Add([]byte("16777216,16777471,AU\n"))
	f.Add([]byte("# Generated: Thu, 25 Jun 2026 04:33:59 GMT\n2001:db8::,2001:db8::ffff,SE\n"))
	f.Add([]byte("192.0.2.0\t192.0.2.255\t64500\tDE\tEXAMPLE\n"))
	f.Add([]byte(`"192.0.2.0","192.0.2.255","64500","A, B"`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v file
		if v.parse(b) != nil {
			return
		}
		for _, a := range []string{"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "2001:db8::1", "ffff::"} {
			if country, _ := v.content.locate(netip.MustParseAddr(a)); country != "" && !isCode(country) {
				t.Errorf("%s is in %q", a, country)
			}
		}
	})
}
