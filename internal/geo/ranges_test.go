package geo

import (
	"encoding/binary"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestRanges(t *testing.T) {
	r, err := parseRanges([]byte(`# Generated: Thu, 25 Jun 2026 04:33:59 GMT
3221225984,3221226111,DE
3221226112,3221226112,??
192.0.2.129,192.0.2.129,FR
"198.51.100.0","198.51.100.255","64500","Example, Inc."
2001:db8::,2001:db8::ffff,SE
2001:db8:1::,2001:db8:1::,AS64501
203.0.113.0	203.0.113.99	64502	GB	EXAMPLE
203.0.113.100	203.0.113.199	0	None	Not routed
203.0.113.200	203.0.113.255	64503	None	EXAMPLE-2
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		addr, country string
		asn           uint32
	}{
		{"192.0.1.255", "", 0},
		{"192.0.2.0", "DE", 0},
		{"192.0.2.127", "DE", 0},
		{"192.0.2.128", "", 0},
		{"192.0.2.129", "FR", 0},
		{"192.0.2.130", "", 0},
		{"198.51.100.77", "", 64500},
		{"203.0.113.99", "GB", 64502},
		{"203.0.113.100", "", 0},
		{"203.0.113.200", "", 64503},
		{"255.255.255.255", "", 0},
		{"2001:db8::1234", "SE", 0},
		{"2001:db8::1:0", "", 0},
		{"2001:db8:1::", "", 64501},
		{"::", "", 0},
	} {
		if country, asn := r.locate(netip.MustParseAddr(test.addr)); country != test.country || asn != test.asn {
			t.Errorf("%s is in %q, AS %d, want %q, AS %d", test.addr, country, asn, test.country, test.asn)
		}
	}
	if got := r.generated.Format("2006-01-02"); got != "2026-06-25" {
		t.Errorf("generated %s", got)
	}
}

func TestRangesThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "no range",
		"# only a comment\n":                 "no range",
		"192.0.2.0,192.0.2.255\n":            "line 1: it has fewer than three fields",
		"192.0.2.0,2001:db8::,DE\n":          "no range",
		"192.0.2.9,192.0.2.0,DE\n":           "no range",
		"192.0.2.0/24,x,DE\n":                `"192.0.2.0/24" is no address`,
		"5,9,DE\n9,12,FR\n":                  "line 2: the range from 0.0.0.9 does not come after",
		"fe80::%a,fe80::%a,DE\n":             "no address",
		strings.Repeat("x", 1001):            "longer than",
		"192.0.2.0,192.0.2.255,4294967295\n": "no range",
	} {
		if _, err := parseRanges([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", text, err, want)
		}
	}
}

// Debian's tor-geoipdb, where it is installed.
func TestTorFiles(t *testing.T) {
	paths := []string{"/usr/share/tor/geoip", "/usr/share/tor/geoip6"}
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			t.Skip(err)
		}
	}
	d, err := Open(paths...)
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{"141.2.1.1": "DE", "193.0.6.139": "NL", "2001:638::1": "DE", "2001:67c:2e8::1": "NL"} {
		if got := d.Country(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is in %q, want %q", addr, got, want)
		}
	}
}

func BenchmarkRanges(b *testing.B) {
	r := new(ranges)
	for i := range uint32(400_000) {
		r.v4 = append(r.v4, block[uint32]{i * 10_000, i*10_000 + 9_999, entry{country: [2]byte{'D', 'E'}}})
	}
	b.ReportAllocs()
	n := uint32(0)
	for b.Loop() {
		n += 2654435761
		r.locate(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, n))))
	}
}
