package portmaster

import (
	"errors"
	"net/netip"
	"testing"

	"safing/portmaster/api"
	"safing/profile"
)

func TestParseDestination(t *testing.T) {
	v4, v6 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for text, want := range map[string]profile.Flow{
		"example.com":              {Domain: "example.com", Port: 443, Protocol: 6},
		"Example.COM.":             {Domain: "example.com", Port: 443, Protocol: 6},
		"example.com:80":           {Domain: "example.com", Port: 80, Protocol: 6},
		"bücher.example":           {Domain: "xn--bcher-kva.example", Port: 443, Protocol: 6},
		"udp://example.com:443":    {Domain: "example.com", Port: 443, Protocol: 17},
		"192.0.2.1":                {Addr: v4, Port: 443, Protocol: 6},
		"192.0.2.1:80":             {Addr: v4, Port: 80, Protocol: 6},
		"::ffff:192.0.2.1":         {Addr: v4, Port: 443, Protocol: 6},
		"2001:db8::1":              {Addr: v6, Port: 443, Protocol: 6},
		"[2001:db8::1]":            {Addr: v6, Port: 443, Protocol: 6},
		"tcp://[2001:db8::1]:8080": {Addr: v6, Port: 8080, Protocol: 6},
	} {
		got, err := parseDestination(text)
		if err != nil || got.Domain != want.Domain || got.Addr != want.Addr || got.Port != want.Port || got.Protocol != want.Protocol {
			t.Errorf("%s: got %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "http://example.com", "example.com:99999", "a b", "exa$mple", "[::1", ":80"} {
		if f, err := parseDestination(text); !errors.Is(err, api.ErrQuestion) {
			t.Errorf("%q: got %+v, %v; want a refusal", text, f, err)
		}
	}
}

func FuzzParseDestination(f *testing.F) {
	for _, s := range []string{"example.com", "udp://[2001:db8::1]:53", "192.0.2.1:443", "::", "a:b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		flow, err := parseDestination(text)
		if err == nil && (flow.Domain == "") == !flow.Addr.IsValid() {
			t.Errorf("%q: neither or both of domain and address: %+v", text, flow)
		}
	})
}
