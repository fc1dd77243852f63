package profile

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const curl = `# What curl may do.
name = "curl"
paths = ["/usr/bin/curl", '/opt//curl']
default = "tunnel"
rules = [
  "deny  127.0.0.66",  # comment
  "permit .example.com tcp/443",
  'deny ads* udp/5000-5100,53',
]
`

func TestParse(t *testing.T) {
	p, err := Parse("/x/curl.toml", []byte(curl))
	if err != nil {
		t.Fatal(err)
	}
	want := &Profile{
		ID: "curl", Name: "curl", Paths: []string{"/usr/bin/curl", "/opt/curl"}, Default: Tunnel, File: "/x/curl.toml",
		Rules: []Rule{
			{Action: Deny, Text: "deny 127.0.0.66", Kind: Network, Prefix: netip.MustParsePrefix("127.0.0.66/32"), Line: 6},
			{Action: Permit, Text: "permit .example.com tcp/443", Kind: Suffix, Domain: "example.com", Protocol: TCP, Ports: []PortRange{{443, 443}}, Line: 7},
			{Action: Deny, Text: "deny ads* udp/5000-5100,53", Kind: Prefix, Domain: "ads", Protocol: UDP, Ports: []PortRange{{53, 53}, {5000, 5100}}, Line: 8},
		},
	}
	for i := range want.Rules {
		want.Rules[i].File = "/x/curl.toml"
	}
	if diff := cmp.Diff(want, p, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Error(diff)
	}
	if !p.UsesLists() {
		t.Error("lists do not hold though nothing was said")
	}
}

func TestParseErrors(t *testing.T) {
	const paths = "paths = [\"/a\"]\n"
	for text, want := range map[string]string{
		"":                                   "c.toml: it does not say which programs it is for",
		"paths = [\n":                        "c.toml:1",
		paths + "colour = 1":                 `c.toml:2:1: there is no key "colour": a profile has name,`,
		paths + "default = \"ask\"":          `c.toml:2:1: default is "permit", "deny" or "tunnel"`,
		paths + "default = 3":                `c.toml:2:1: default is`,
		paths + "lists = \"no\"":             "c.toml:2:1: lists is true or false",
		paths + "[tunnel]":                   "c.toml:2:2: a profile has no sections",
		paths + "a.b = 1":                    `c.toml:2:1: "a" with a dot`,
		paths + "path = \"/b\"":              "c.toml:2:1: paths is there twice",
		paths + "name = \"a\"\nname = \"b\"": "c.toml:3",
		paths + "name = \"a\\tb\"":           "c.toml:2:1: name has at most 128",
		`paths = ["curl"]`:                   `c.toml:1:10: "curl" is not the full path`,
		paths + "rules = 7":                  "c.toml:2:1: rules is a list of texts",
		paths + "rules = [1]":                "c.toml:2:1: rules holds something that is not a text",
		paths + "rules = [\n \"deny a.b\",\n  \"deny  interent\"]": `c.toml:4:10: "interent" is no domain`,
		paths + "rules = [\"deny a.b\\u002f.\"]":                   "c.toml:2:10: ", // the string, as it has an escape
		strings.Repeat("#", SizeLimit+1):                           "c.toml: larger than",
	} {
		_, err := Parse("c.toml", []byte(text))
		if _, ok := errors.AsType[*SyntaxError](err); !ok || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.60q: got %v; want %s", text, err, want)
		}
	}
}

func TestParseRuleErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "the rule is empty",
		"allow a.b":                        `"allow" is no action`,
		"deny":                             "deny what?",
		"deny interent":                    `a name without a dot is written "interent."`,
		"deny *.example.com":               `write ".example.com"`,
		"deny a*b":                         "a star stands at the end",
		"deny **":                          "a star stands at the end",
		"deny 1.2.3":                       "neither an address nor a network",
		"deny 1.2.3.4:80":                  "ports stand after tcp/ or udp/",
		"deny https://example.com/":        "is a web address",
		"deny 10.0.0.1/8":                  "write 10.0.0.0/8, or 10.0.0.1 for the one address",
		"deny ::ffff:1.2.3.0/120":          "IPv4 written as IPv6",
		"deny fe80::1%eth0":                "neither an address",
		"deny a..b":                        "is no domain",
		"deny exa$mple.com":                "is no domain",
		"deny ad$*":                        "can match no domain",
		"deny * icmp":                      `"icmp" is no protocol`,
		"deny * tcp/":                      "is no port",
		"deny * tcp/0":                     "is no port",
		"deny * tcp/65536":                 "is no port",
		"deny * tcp/90-80":                 "write 80-90",
		"deny * tcp/1,3,5,7,9,11,13,15,17": "9 separate ports",
		"deny * tcp udp":                   `"udp" is too much`,
		"deny " + strings.Repeat("a", 600): "at most 512",
	} {
		r, err := ParseRule(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %+v, %v; want %s", text, r, err, want)
		}
	}
}

func TestMatches(t *testing.T) {
	addr := netip.MustParseAddr
	web := Flow{Domain: "www.example.com", CNAMEs: []string{"edge.cdn.test"}, Addr: addr("192.0.2.1"), Port: 443, Protocol: TCP}
	lan6 := Flow{Addr: addr("fe80::1%eth0"), Port: 53, Protocol: UDP}
	mapped := Flow{Addr: addr("::ffff:127.0.0.1"), Port: 80, Protocol: TCP}
	for _, c := range []struct {
		rule string
		flow Flow
		want bool
	}{
		{"deny www.example.com", web, true},
		{"deny WWW.Example.Com.", web, true},
		{"deny example.com", web, false},
		{"deny .example.com", web, true},
		{"deny .www.example.com", web, true},
		{"deny .ample.com", web, false},
		{"deny www*", web, true},
		{"deny *ample*", web, true},
		{"deny ample*", web, false},
		{"deny .cdn.test", web, true},
		{"permit .cdn.test", web, false},
		{"tunnel .cdn.test", web, false},
		{"permit 192.0.2.1", web, true},
		{"permit 192.0.2.0/24 tcp/80-443", web, true},
		{"permit 192.0.2.0/24 tcp/80,442", web, false},
		{"permit * udp", web, false},
		{"permit internet", web, true},
		{"permit lan", web, false},
		{"permit lan", lan6, true},
		{"permit fe80::/10", lan6, true},
		{"permit .example.com", lan6, false},
		{"permit *com*", lan6, false},
		{"permit localhost", mapped, true},
		{"permit 127.0.0.0/8", mapped, true},
		{"permit ::ffff:127.0.0.1", mapped, true},
		{"permit localhost", Flow{Addr: addr("0.0.0.0")}, true},
		{"permit localhost", Flow{Domain: "a.b"}, false},
		{"permit *", Flow{Domain: "a.b"}, true},
		{"deny bücher.example", Flow{Domain: "xn--bcher-kva.example"}, true},
		{"deny printer.", Flow{Domain: "printer"}, true},
	} {
		r, err := ParseRule(c.rule)
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
		} else if got := r.Matches(c.flow); got != c.want {
			t.Errorf("%s: got %v for %+v", c.rule, got, c.flow)
		}
	}
}

func TestProfileMatchTakesTheFirst(t *testing.T) {
	p, err := Parse("curl.toml", []byte(curl))
	if err != nil {
		t.Fatal(err)
	}
	r, ok := p.Match(Flow{Addr: netip.MustParseAddr("127.0.0.66")})
	if !ok || r.Line != 6 {
		t.Errorf("got %v, %v", r, ok)
	}
	if r, ok := p.Match(Flow{Domain: "other.test"}); ok {
		t.Errorf("got %v; want none", r)
	}
}

func TestLoadDir(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.toml": `path = "/a"`, "b.toml": "rules = 1", "c.toml": "paths = ['/c']\nlists = false", "d.toml": "x", "note.txt": "x",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	profiles, err := LoadDir(dir)
	if len(profiles) != 2 || profiles[0].ID != "a" || profiles[1].ID != "c" || profiles[1].UsesLists() {
		t.Errorf("got %+v", profiles)
	}
	if err == nil || !strings.Contains(err.Error(), "b.toml:1:1: ") || !strings.Contains(err.Error(), "d.toml:1:") {
		t.Errorf("got error %v; want both files named", err)
	}
	if profiles, err := LoadDir(filepath.Join(dir, "none")); profiles != nil || err != nil {
		t.Errorf("a missing folder: got %v, %v", profiles, err)
	}
}

func TestScopesAreDisjoint(t *testing.T) {
	all := append(Localhost.Prefixes(), LAN.Prefixes()...)
	for i, p := range all {
		if p != p.Masked() {
			t.Errorf("%v is not masked", p)
		}
		for _, q := range all[:i] {
			if p.Overlaps(q) {
				t.Errorf("%v overlaps %v", p, q)
			}
		}
	}
}

func TestScopeOfAgreesWithPrefixes(t *testing.T) {
	var edges []netip.Addr
	for _, s := range []Scope{Localhost, LAN} {
		for _, p := range s.Prefixes() {
			first := p.Addr()
			last := first
			for next := last; p.Contains(next); next = middle(last, p) {
				last = next
			}
			for _, a := range []netip.Addr{first.Prev(), first, last, last.Next()} {
				if a.IsValid() {
					edges = append(edges, a)
				}
			}
		}
	}
	for _, a := range append(edges, netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("2001:db8::1")) {
		want := Internet
		for _, s := range []Scope{Localhost, LAN} {
			for _, p := range s.Prefixes() {
				if p.Contains(a) {
					want = s
				}
			}
		}
		if got := ScopeOf(a); got != want {
			t.Errorf("%v: got %s; want %s", a, got, want)
		}
	}
}

// middle sets the first host bit that is not set, or leaves the network.
func middle(a netip.Addr, p netip.Prefix) netip.Addr {
	b := a.AsSlice()
	for bit := p.Bits(); bit < a.BitLen(); bit++ {
		if b[bit/8]&(0x80>>(bit%8)) == 0 {
			b[bit/8] |= 0x80 >> (bit % 8)
			next, _ := netip.AddrFromSlice(b)
			return next
		}
	}
	return netip.Addr{}
}

func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"deny 127.0.0.66", "permit .example.com tcp/443", "tunnel *", "deny ads* udp/1-2,5", "permit *x* tcp", "deny 2001:db8::/32", "permit lan", "deny bücher.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRule(text)
		if err != nil {
			if e, ok := errors.AsType[*SyntaxError](err); !ok || e.Msg == "" || e.Column < 1 || e.Column > len(text)+1 {
				t.Fatalf("%q: error %#v", text, err)
			}
			return
		}
		again, err := ParseRule(r.Text)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, r.Text, err)
		}
		if diff := cmp.Diff(r, again, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Fatal(diff)
		}
		if len(r.Ports) > PortsLimit {
			t.Fatalf("%q: %d ports", text, len(r.Ports))
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(curl))
	f.Add([]byte("paths = ['/a']\nlists = false\nrules = ['''deny a.b''', \"\"\"permit\\n * \"\"\"]"))
	f.Add([]byte("[a]\nb.c = {d = 1}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("f.toml", data)
		if err != nil {
			if e, ok := errors.AsType[*SyntaxError](err); !ok || e.File != "f.toml" {
				t.Fatalf("error %#v", err)
			}
			return
		}
		for _, r := range p.Rules {
			if !r.Action.Valid() || r.Line < 1 || r.File == "" {
				t.Fatalf("rule %+v", r)
			}
		}
	})
}
