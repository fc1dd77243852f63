package labels

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseDomain(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct{ text, want string }{
		{"ads.test", "ads.test"},
		{" Ads.TEST. ", "ads.test"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.example", "xn--bcher-kva.example"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"例え。テスト", "xn--r8jz45g.xn--zckzah"},
		{"_dmarc.example.com", "_dmarc.example.com"},
		{"r3---sn-abc.video.test", "r3---sn-abc.video.test"},
		{"1.2.3.test", "1.2.3.test"},
		{long + ".test", long + ".test"},
		{strings.Repeat(long+".", 3) + strings.Repeat("b", 61), strings.Repeat(long+".", 3) + strings.Repeat("b", 61)},
	} {
		got, err := ParseDomain(c.text)
		if err != nil || got != c.want {
			t.Errorf("%q: got %q, %v; want %q", c.text, got, err, c.want)
		}
	}
	for _, text := range []string{
		"", ".", "test", "localhost", "127.0.0.1", "::1", "1.2.3.4.5", "256.1.1.1", "a..test", ".a.test", "-a.test",
		"a-.test", "a b.test", "a/b.test", "https://a.test", "a.test:80", "*.a.test", "a\x00.test", "a\n.test",
		"xn--\x80.test", "xn--a.test", long + "a.test", strings.Repeat(long+".", 4) + "test",
		strings.Repeat("ü", 5000) + ".test", "a_.te\u200bst\xff",
	} {
		if got, err := ParseDomain(text); !errors.Is(err, ErrDomain) {
			t.Errorf("%q: got %q, %v; want ErrDomain", text, got, err)
		}
	}
}

func FuzzParseDomain(f *testing.F) {
	for _, seed := range []string{"ads.test", "Bücher.example.", "xn--bcher-kva.example", "例え。テスト", "1.2.3.4", "a..b", "_x.y-z", "\xff.\u200d.a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		domain, err := ParseDomain(text)
		if err != nil {
			if domain != "" || len(err.Error()) > 2000 {
				t.Fatalf("got %q with the error %v", domain, err)
			}
			return
		}
		if len(domain) > maxDomain || strings.ToLower(domain) != domain || !strings.Contains(domain, ".") {
			t.Fatalf("%q became %q", text, domain)
		}
		again, err := ParseDomain(domain)
		if err != nil || again != domain {
			t.Fatalf("%q became %q, which becomes %q, %v", text, domain, again, err)
		}
	})
}

func TestCheckLabel(t *testing.T) {
	for _, good := range []string{"ads", "a", "adult-content", "x2", strings.Repeat("a", 32)} {
		if err := checkLabel(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "Ads", "a_b", "a--b", "-a", "a-", "a.b", "../x", "ä", "a b", strings.Repeat("a", 33)} {
		if err := checkLabel(bad); !errors.Is(err, ErrLabel) {
			t.Errorf("%q: got %v, want ErrLabel", bad, err)
		}
	}
}

func TestParseList(t *testing.T) {
	text := "\ufeff# a hosts file\n127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n" +
		"0.0.0.0 Ads.test tracker.test # both\r\n\n! Adblock's comment\nplain.test\n0.0.0.0\n||bad^\n"
	list, err := ParseList(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"ads.test", "tracker.test", "plain.test"}; !slices.Equal(list.Domains, want) {
		t.Errorf("got %q, want %q", list.Domains, want)
	}
	if list.Skipped != 5 || list.First == nil || !strings.HasPrefix(list.First.Error(), "line 2: ") {
		t.Errorf("skipped %d, the first: %v; want 5 from line 2", list.Skipped, list.First)
	}
}

func TestParseListRefuses(t *testing.T) {
	long := "a.test\n" + strings.Repeat("x", maxLine+1)
	if _, err := ParseList(strings.NewReader(long)); err == nil || !strings.Contains(err.Error(), "line 2 ") {
		t.Errorf("a long line: got %v", err)
	}
	many := strings.NewReader(strings.Repeat("a.test\n", MaxDomains+1))
	if _, err := ParseList(many); !errors.Is(err, ErrFull) {
		t.Errorf("too many domains: got %v, want ErrFull", err)
	}
	big := strings.NewReader(strings.Repeat("#"+strings.Repeat(" ", 1022)+"\n", maxImport/1024+1))
	if _, err := ParseList(big); err == nil || !strings.Contains(err.Error(), "64 MiB") {
		t.Errorf("a large list: got %v", err)
	}
}

func FuzzParseList(f *testing.F) {
	f.Add("0.0.0.0 ads.test\n")
	f.Add("\ufeffplain.test # x\r\n! y\n::1 a b c.d")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseList(strings.NewReader(text))
		if err != nil {
			return
		}
		if (list.Skipped > 0) != (list.First != nil) {
			t.Fatalf("skipped %d, the first: %v", list.Skipped, list.First)
		}
		for _, domain := range list.Domains {
			if again, err := ParseDomain(domain); err != nil || again != domain {
				t.Fatalf("%q is not in its one form", domain)
			}
		}
	})
}
