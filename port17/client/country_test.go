package client

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"safing/internal/geo"
)

// The country of a destination's address is looked up, unless the request says
// it.
func TestCountryOfDestination(t *testing.T) {
	path := filepath.Join(t.TempDir(), "geo")
	if err := os.WriteFile(path, []byte("192.0.2.0,192.0.2.255,DE\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := geo.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	there, elsewhere := netip.MustParseAddrPort("192.0.2.1:443"), netip.MustParseAddrPort("198.51.100.1:443")
	for _, test := range []struct {
		db      *geo.DB
		request Request
		want    string
	}{
		{db, Request{Addr: there}, "DE"},
		{db, Request{Addr: there, Country: "FR"}, "FR"},
		{db, Request{Addr: elsewhere}, ""},
		{db, Request{Host: "example.org", Addr: netip.AddrPortFrom(netip.Addr{}, 443)}, ""},
		{nil, Request{Addr: there}, ""},
	} {
		c := &Client{config: Config{Geo: test.db}}
		target, err := test.request.target()
		if err != nil {
			t.Fatal(err)
		}
		if got := c.need(test.request, target).request.Country; got != test.want {
			t.Errorf("%+v: country %q, want %q", test.request, got, test.want)
		}
	}
}
