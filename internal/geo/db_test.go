package geo

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	german = netip.MustParseAddr("192.0.2.1")
	french = netip.MustParseAddr("192.0.2.200")
)

// put writes a file as docs/geo.md says to: at once.
func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestTwoFiles(t *testing.T) {
	dir := t.TempDir()
	countries, networks := filepath.Join(dir, "country.mmdb"), filepath.Join(dir, "asn.csv")
	put(t, countries, encodeMMDB("GeoLite2-Country", 1_700_000_000, record{"192.0.2.0/25", []any{"country", []any{"iso_code", "DE"}}}))
	put(t, networks, []byte("192.0.2.0,192.0.2.255,64500\n"))
	d, err := Open(countries, networks)
	if err != nil {
		t.Fatal(err)
	}
	want := Location{Country: "DE", ASN: 64500, Registry: "ARIN", CountryFrom: countries, ASNFrom: networks}
	for _, a := range []netip.Addr{german, netip.MustParseAddr("::ffff:192.0.2.1")} {
		if got := d.Locate(a); got != want {
			t.Errorf("%s: got %+v, want %+v", a, got, want)
		}
	}
	if d.Country(french) != "" || d.ASN(french) != 64500 {
		t.Errorf("%s: got %+v", french, d.Locate(french))
	}
	sources := d.Sources()
	if len(sources) != 2 || sources[0].Format != "MMDB GeoLite2-Country" || sources[0].Built.Unix() != 1_700_000_000 || sources[1].Format != "ranges" {
		t.Errorf("sources are %+v", sources)
	}
}

func TestNoFiles(t *testing.T) {
	none, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*DB{nil, none} {
		if taken, err := d.Reload(); taken != 0 || err != nil {
			t.Errorf("reload: %d, %v", taken, err)
		}
		d.Follow(t.Context(), time.Hour, slog.New(slog.DiscardHandler)) // has nothing to wait for
		for addr, want := range map[string]string{
			"41.0.0.1": "AFRINIC", "1.1.1.1": "APNIC", "8.8.8.8": "ARIN", "200.0.0.1": "LACNIC", "193.0.6.139": "RIPE NCC",
			"10.0.0.1": "", "127.0.0.1": "", "224.0.0.1": "", "::ffff:193.0.6.139": "RIPE NCC",
			"2c0f::1": "AFRINIC", "2400::1": "APNIC", "2607::1": "ARIN", "2800::1": "LACNIC", "2a1f::1": "RIPE NCC", "2a20::": "",
			"2001:db8::1": "APNIC", "::1": "", "fe80::1%eth0": "", "ffff::": "",
		} {
			l := d.Locate(netip.MustParseAddr(addr))
			if l != (Location{Registry: want}) {
				t.Errorf("%s: got %+v, want the registry %q alone", addr, l, want)
			}
			if _, ok := l.Place(); ok != (want != "") {
				t.Errorf("%s of %q has a place: %v", addr, want, ok)
			}
		}
		if l := d.Locate(netip.Addr{}); l != (Location{}) {
			t.Errorf("no address is at %+v", l)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	text, cut := filepath.Join(dir, "text"), filepath.Join(dir, "cut")
	put(t, text, []byte("<html>404</html>"))
	whole := encodeMMDB("Test", 0, record{"192.0.2.0/24", []any{"country_code", "FR"}})
	put(t, cut, append(append([]byte{}, whole[:9]...), whole[len(whole)-180:]...))
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file",
		text:                       "neither MMDB nor libloc nor lines such as",
		cut:                        cut,
	} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "geo")
	put(t, path, []byte("192.0.2.0,192.0.2.127,DE\n"))
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(step string, taken int, bad bool, germans, frenchmen string) {
		t.Helper()
		if n, err := d.Reload(); n != taken || (err != nil) != bad {
			t.Errorf("%s: took %d, error %v", step, n, err)
		}
		if a, b := d.Country(german), d.Country(french); a != germans || b != frenchmen {
			t.Errorf("%s: countries are %q and %q, want %q and %q", step, a, b, germans, frenchmen)
		}
	}
	expect("unchanged", 0, false, "DE", "")
	put(t, path, []byte("not yet whole"))
	expect("bad", 0, true, "DE", "")
	expect("bad as before", 0, false, "DE", "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("missing", 0, true, "DE", "")
	expect("missing as before", 0, false, "DE", "")
	put(t, path, []byte("192.0.2.128,192.0.2.255,FR\n"))
	expect("good", 1, false, "", "FR")
	expect("good as before", 0, false, "", "FR")
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "geo")
		put(t, path, []byte("192.0.2.0,192.0.2.127,DE\n"))
		d, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { d.Follow(ctx, time.Minute, slog.New(slog.DiscardHandler)) })
		var log strings.Builder
		running.Go(func() { d.Follow(ctx, time.Hour, slog.New(slog.NewTextHandler(&log, nil))) })
		put(t, path, []byte("192.0.2.0,192.0.2.255,FR\n"))
		<-time.After(time.Minute + time.Second)
		if got := d.Country(german); got != "FR" {
			t.Errorf("after a minute the country is %q", got)
		}
		put(t, path, []byte("bad"))
		cancelled := time.After(time.Hour)
		<-cancelled
		if got := d.Country(german); got != "FR" {
			t.Errorf("after a bad file the country is %q", got)
		}
		cancel()
		running.Wait()
		if log.Len() > 0 {
			t.Errorf("the second one read what the first had read: %s", log.String())
		}
	})
}

// Lookups go on while files are replaced.
func TestReloadAndLocate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "geo")
	contents := [][]byte{[]byte("192.0.2.0,192.0.2.255,DE\n"), encodeMMDB("Test", 0, record{"192.0.2.0/24", []any{"country_code", "DE"}}), []byte("bad")}
	put(t, path, contents[0])
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if got := d.Country(german); got != "DE" {
					t.Errorf("the country is %q", got)
					return
				}
			}
		})
	}
	for i := range 100 {
		put(t, path, contents[i%3])
		d.Reload()
	}
	close(done)
	asking.Wait()
}
