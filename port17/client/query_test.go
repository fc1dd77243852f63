package client_test

import (
	"net/url"
	"testing"

	"safing/port17/client"
)

// What is asked of a client is read or refused, and what it read names only what
// can be.
func FuzzParseQuery(f *testing.F) {
	f.Add("destination=example.org:443&app=a&level=high&nodes=5&avoid-country=US&avoid-country=de")
	f.Add("destination=192.0.2.1:80&exit-country=NL&avoid-as=64500&unencrypted=true&delay=50ms")
	f.Add("destination=[2001:db8::1]:22&exit=aaaa&avoid-exit=%00&shape=light")
	f.Add("destination=:0&country=DE")
	f.Fuzz(func(t *testing.T, text string) {
		q, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		r, err := client.ParseQuery(q)
		if err != nil {
			return
		}
		if r.Nodes < 0 || r.Nodes > 6 || r.Level.String() == "" {
			t.Errorf("%q: %+v", text, r)
		}
		for _, code := range append(r.AvoidCountries, r.ExitCountries...) {
			if len(code) != 2 {
				t.Errorf("%q: country %q", text, code)
			}
		}
		if route, err := r.Route(); err == nil && (route.Destination.Port() == 0 || route.Level != r.Level) {
			t.Errorf("%q: %+v", text, route)
		}
	})
}
