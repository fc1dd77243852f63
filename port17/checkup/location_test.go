package checkup

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"safing/internal/geo"
	"safing/netmap"
)

func TestLocation(t *testing.T) {
	dir := t.TempDir()
	countries, networks := filepath.Join(dir, "countries"), filepath.Join(dir, "networks")
	for path, text := range map[string]string{countries: "9.9.9.0,9.9.9.255,CH\n", networks: "9.9.9.0,9.9.9.255,64500\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, err := geo.Open(countries, networks)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		addr    string
		country string
		asn     uint32
		level   Level
		text    string
	}{
		{"9.9.9.9:1717", "CH", 64500, OK, "9.9.9.9 is in CH"},
		{"9.9.9.9:1717", "", 0, OK, "9.9.9.9 is in CH"},
		{"9.9.9.9:1717", "DE", 0, Warning, "says " + countries + ", and the settings say DE"},
		{"9.9.9.9:1717", "CH", 64501, Warning, "says " + networks + ", and the settings say 64501"},
		{"8.8.8.8:1717", "", 0, Warning, "nothing says in which country 8.8.8.8 is"},
		{"8.8.8.8:1717", "US", 0, "", ""},
		{"127.0.0.1:1717", "", 0, "", ""},
	} {
		r := &report{
			config:    Config{Country: test.country, ASN: test.asn, Geo: db},
			entrances: []netmap.Entrance{{Addr: netip.MustParseAddrPort(test.addr)}},
		}
		r.checkLocation()
		if test.level == "" {
			if len(r.findings) > 0 {
				t.Errorf("%+v: found %+v", test, r.findings)
			}
			continue
		}
		want(t, r.findings, "location", test.level, test.text)
	}
}
