package node

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"safing/internal/geo"
	"safing/netmap"
)

// What the operator says of the node's place counts more than databases.
func TestLocate(t *testing.T) {
	dir := t.TempDir()
	countries, networks := filepath.Join(dir, "countries"), filepath.Join(dir, "networks")
	for path, text := range map[string]string{countries: "192.0.2.0,192.0.2.255,DE\n", networks: "192.0.2.0,192.0.2.255,64500\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, err := geo.Open(countries, networks)
	if err != nil {
		t.Fatal(err)
	}
	known := []netip.AddrPort{netip.MustParseAddrPort("[2001:db8::1]:1717"), netip.MustParseAddrPort("192.0.2.1:1717")}
	for _, test := range []struct {
		d       netmap.Descriptor
		country string
		asn     uint32
	}{
		{netmap.Descriptor{Addresses: known}, "DE", 64500},
		{netmap.Descriptor{Addresses: known, Country: "FR"}, "FR", 64500},
		{netmap.Descriptor{Addresses: known, ASN: 64501}, "DE", 64501},
		{netmap.Descriptor{Addresses: known[:1]}, "", 0},
	} {
		d := test.d
		if locate(&d, db); d.Country != test.country || d.ASN != test.asn {
			t.Errorf("%+v is in %q, AS %d, want %q, AS %d", test.d, d.Country, d.ASN, test.country, test.asn)
		}
	}
	d := netmap.Descriptor{Addresses: known}
	if locate(&d, nil); d.Country != "" || d.ASN != 0 {
		t.Errorf("without a database it is in %q, AS %d", d.Country, d.ASN)
	}
}
