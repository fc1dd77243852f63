package feed

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const sample = "# Ads\n" +
	"127.0.0.1 localhost\n" +
	"::1 ip6-localhost\n" +
	"255.255.255.255 broadcasthost\n" +
	"192.168.1.1 router.example\n" +
	"0.0.0.0 ads.test # the first\r\n" +
	"\n" +
	":: Track.Test. more.track.test\n" +
	"plain.test\n" +
	"0.0.0.0 ads.test\n" +
	"0.0.0.0 b\u00fccher.test\n" +
	"bad!line\n"

func TestParseHosts(t *testing.T) {
	f, err := ParseHosts("ads", strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	if f.Len() != 5 || f.Skipped != 1 || f.Name != "ads" {
		t.Errorf("got %d entries, %d skipped, name %q", f.Len(), f.Skipped, f.Name)
	}
	for domain, want := range map[string]Entry{
		"ads.test":               {"ads.test", 6},
		"ads.test.":              {"ads.test", 6},
		"x.y.ads.test":           {"ads.test", 6},
		"track.test":             {"track.test", 8},
		"a.more.track.test":      {"more.track.test", 8},
		"plain.test":             {"plain.test", 9},
		"www.xn--bcher-kva.test": {"xn--bcher-kva.test", 11},
		"localhost":              {},
		"router.example":         {},
		"loads.test":             {},
		"test":                   {},
		"":                       {},
	} {
		if got, ok := f.Lookup(domain); got != want || ok != (want.Line > 0) {
			t.Errorf("%q: got %v, %v; want %v", domain, got, ok, want)
		}
	}
}

func TestParseHostsRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"<html>\n<body>not found</body>\n":                 "line 1 is not in the hosts format",
		"a.test\n" + strings.Repeat("x", lineLimit) + "\n": "line 2 has more than",
		strings.Repeat("# comment\n", SizeLimit/10+1):      "larger than 64 MiB",
		"||ads.test^\n||more.test^\nplain.test\n":          "line 1 is not in",
	} {
		if _, err := ParseHosts("x", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %v; want %s", text, err, want)
		}
	}
	if f, err := ParseHosts("x", strings.NewReader("")); err != nil || f.Len() != 0 {
		t.Errorf("an empty list: got %v, %v", f, err)
	}
}

func TestWriteHostsIsReadAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		domains := rapid.SliceOfDistinct(rapid.StringMatching(`[a-z]{1,3}(\.[a-z]{2,3}){1,2}`), func(s string) string { return s }).Draw(t, "domains")
		var text bytes.Buffer
		if err := WriteHosts(&text, "Ads\nof all sorts", domains); err != nil {
			t.Fatal(err)
		}
		f, err := ParseHosts("x", &text)
		if err != nil || f.Len() != len(domains) {
			t.Fatalf("got %v entries of %d, %v", f, len(domains), err)
		}
		on := make(map[string]int)
		for i, d := range domains {
			on[d] = i + 3
		}
		asked := append(domains, "zzzz.none", "a", "b.c")
		for _, d := range asked {
			got, ok := f.Lookup("w." + d)
			name := d
			for name != "" && on[name] == 0 {
				_, name, _ = strings.Cut(name, ".")
			}
			if ok != (name != "") || got.Domain != name || got.Line != on[name] {
				t.Fatalf("%s: got %v, %v; want line %d", d, got, ok, on[name])
			}
		}
	})
	if err := WriteHosts(&bytes.Buffer{}, "", []string{"a.test\n0.0.0.0 b.test"}); err == nil {
		t.Error("a domain with a line break was written")
	}
}

func FuzzParseHosts(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("0.0.0.0\n:: a.b c\n# x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		feed, err := ParseHosts("f", bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, domain := range strings.Fields(strings.ToLower(string(text))) {
			if e, ok := feed.Lookup(domain); ok && (e.Line < 1 || !strings.HasSuffix(strings.TrimSuffix(domain, "."), e.Domain)) {
				t.Fatalf("%q: %v", domain, e)
			}
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	var text bytes.Buffer
	for i := range 1_000_000 {
		fmt.Fprintf(&text, "0.0.0.0 d%d.example.test\n", i)
	}
	f, err := ParseHosts("x", &text)
	if err != nil {
		b.Fatal(err)
	}
	names := make([]string, 4096)
	for i := range names {
		names[i] = fmt.Sprintf("www.d%d.example.test", i*367+i%2*1_000_000)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f.Lookup(names[i%len(names)])
	}
}
