package verdict

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"safing/feed"
	"safing/profile"
)

func parse(t testing.TB, id, text string) *profile.Profile {
	t.Helper()
	p, err := profile.Parse("/p/"+id+".toml", []byte("paths = ['/bin/"+id+"']\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func ads(t testing.TB) *feed.Feed {
	t.Helper()
	f, err := feed.ParseHosts("stamp-ads", strings.NewReader("# ads\n0.0.0.0 ads.test\n0.0.0.0 track.test\n"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func testConfig(t testing.TB) Config {
	global, err := profile.ParseRule("deny .global.test")
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Profiles: []*profile.Profile{
			parse(t, "curl", `default = "tunnel"
rules = ["deny 127.0.0.66", "deny .denied.test", "permit .direct.test", "permit 192.0.2.0/24 tcp/443"]`),
			parse(t, "free", `lists = false`),
			parse(t, "some", `default = "deny"
rules = ["permit lan", "permit x.test tcp/443", "tunnel z.test tcp/22", "deny .x.test"]`),
			parse(t, "home", `rules = ["permit lan", "deny .sub.ads.test", "permit localhost", "permit *"]`),
		},
		Rules: []profile.Rule{global}, Default: profile.Permit, Feeds: []*feed.Feed{ads(t)},
	}
}

func TestDecide(t *testing.T) {
	e := New(testConfig(t))
	tcp := func(domain, addr string, port uint16, cnames ...string) profile.Flow {
		f := profile.Flow{Domain: domain, CNAMEs: cnames, Port: port, Protocol: profile.TCP}
		if addr != "" {
			f.Addr = netip.MustParseAddr(addr)
		}
		return f
	}
	for _, c := range []struct {
		app    string
		flow   profile.Flow
		action profile.Action
		layer  string
		reason string
	}{
		{"curl", tcp("", "127.0.0.66", 80), profile.Deny, LayerProfile, `rule "deny 127.0.0.66" of profile "curl" (/p/curl.toml:3)`},
		{"curl", tcp("www.denied.test", "192.0.2.1", 443), profile.Deny, LayerProfile, `rule "deny .denied.test" of profile "curl" (/p/curl.toml:3)`},
		{"curl", tcp("a.direct.test", "192.0.2.1", 443), profile.Permit, LayerProfile, `rule "permit .direct.test" of profile "curl" (/p/curl.toml:3)`},
		{"curl", tcp("", "192.0.2.1", 443), profile.Permit, LayerProfile, `rule "permit 192.0.2.0/24 tcp/443" of profile "curl" (/p/curl.toml:3)`},
		{"curl", tcp("", "192.0.2.1", 80), profile.Tunnel, LayerDefault, `default of profile "curl"`},
		{"curl", tcp("x.global.test", "", 80), profile.Deny, LayerGlobal, `rule "deny .global.test" for all applications`},
		{"curl", tcp("x.ads.test", "", 80), profile.Deny, LayerLists, `blocked by list "stamp-ads": entry ads.test, line 2`},
		{"curl", tcp("shop.test", "", 80, "a.track.test"), profile.Deny, LayerLists, `blocked by list "stamp-ads": entry track.test, line 3; shop.test is an alias of a.track.test`},
		{"curl", tcp("shop.test", "", 80, "b.direct.test"), profile.Tunnel, LayerDefault, `default of profile "curl"`},
		{"free", tcp("ads.test", "", 80), profile.Permit, LayerDefault, `default for all applications, as profile "free" names none`},
		{"", tcp("", "192.0.2.1", 80), profile.Permit, LayerDefault, "default for applications without a profile"},
		{"unknown", tcp("ads.test", "", 80), profile.Deny, LayerLists, `blocked by list "stamp-ads": entry ads.test, line 2`},
	} {
		d := e.Decide(c.app, c.flow)
		if d.Action != c.action || d.Layer != c.layer || d.Reason != c.reason {
			t.Errorf("%s %+v:\n got %+v\nwant %s %s %s", c.app, c.flow, d, c.action, c.layer, c.reason)
		}
		if got, ok := e.Rule(d.RuleID); !ok || got != d || d.RuleID == 0 {
			t.Errorf("rule %d: got %+v, %v; want %+v", d.RuleID, got, ok, d)
		}
	}
}

func TestDecideDomain(t *testing.T) {
	e := New(testConfig(t))
	for _, c := range []struct {
		app, domain, alias string
		action             profile.Action
		decided            bool
	}{
		{"curl", "x.denied.test", "", profile.Deny, true},
		{"curl", "other.test", "x.denied.test", profile.Deny, true},
		{"curl", "x.direct.test", "", profile.Permit, false}, // may be 127.0.0.66
		{"curl", "x.direct.test", "x.denied.test", profile.Deny, true},
		{"curl", "other.test", "", profile.Tunnel, true},
		{"curl", "ads.test", "", profile.Deny, true}, // though 192.0.2.0/24 is permitted
		{"some", "x.test", "", profile.Deny, false},  // port 443 of it is permitted
		{"some", "y.test", "", profile.Deny, false},  // it may be in the local network
		{"some", "z.test", "", profile.Tunnel, true}, // port 22 of it is tunnelled
		{"", "ads.test", "", profile.Deny, true},
		{"", "other.test", "", profile.Permit, true},
		{"home", "other.test", "", profile.Permit, true},
		{"home", "sub.ads.test", "", profile.Deny, true},
		{"free", "ads.test", "", profile.Permit, true},
	} {
		d, decided := e.DecideDomain(c.app, c.domain, []string{c.alias})
		if d.Action != c.action || decided != c.decided {
			t.Errorf("%s %s (%s): got %s, %v; want %s, %v", c.app, c.domain, c.alias, d.Action, decided, c.action, c.decided)
		}
	}
}

func TestExplain(t *testing.T) {
	e := New(testConfig(t))
	steps := e.Explain("curl", profile.Flow{Domain: "ads.test", Addr: netip.MustParseAddr("127.0.0.66")})
	var got []string
	for _, s := range steps {
		if s.Decided != (s.Decision.Reason != "") {
			t.Errorf("step %+v", s)
		}
		got = append(got, s.Layer+" "+string(s.Decision.Action))
	}
	want := "[profile deny global  lists deny default tunnel]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v; want %s", got, want)
	}
}

func TestSwapKeepsNumbers(t *testing.T) {
	c := testConfig(t)
	e := New(c)
	f := profile.Flow{Addr: netip.MustParseAddr("127.0.0.66"), Protocol: profile.TCP}
	before := e.Decide("curl", f)
	e.Swap(testConfig(t))
	if got := e.Decide("curl", f); got != before {
		t.Errorf("after reading the same again: got %+v; want %+v", got, before)
	}
	c.Profiles[0] = parse(t, "curl", `rules = ["tunnel 127.0.0.66"]`)
	e.Swap(c)
	if got := e.Decide("curl", f); got.Action != profile.Tunnel || got.RuleID == before.RuleID {
		t.Errorf("after a change: got %+v", got)
	}
	if got, ok := e.Rule(before.RuleID); !ok || got != before {
		t.Errorf("the rule that is gone: got %+v, %v", got, ok)
	}
	if _, ok := e.Rule(0); ok {
		t.Error("there is a rule 0")
	}
}

func TestReasonsAreBounded(t *testing.T) {
	var r registry
	r.begin()
	kept := r.pin(Decision{Reason: "in force"})
	first := r.number(Decision{Reason: "first"})
	for i := range reasonsKept + 10 {
		r.number(Decision{Reason: fmt.Sprint(i)})
	}
	if len(r.records) > reasonsKept+1 || len(r.ids) != len(r.records) {
		t.Errorf("%d records, %d ids", len(r.records), len(r.ids))
	}
	if _, ok := r.decision(first.RuleID); ok {
		t.Error("the first is still there")
	}
	if got, ok := r.decision(kept.RuleID); !ok || got != kept {
		t.Errorf("the one in force: got %+v, %v", got, ok)
	}
}

func TestCheck(t *testing.T) {
	var ports, domains []string
	for i := range 9 {
		ports = append(ports, fmt.Sprintf("%q", fmt.Sprintf("deny 10.0.0.0/%d tcp/%d", 8, 2*i+1)))
		domains = append(domains, fmt.Sprintf("%q", fmt.Sprintf("deny .x.test tcp/%d", 2*i+1)))
	}
	for _, c := range []struct{ rules, want string }{
		{strings.Join(ports, ","), `/p/curl.toml: profile "curl": more than 8 protocols or port ranges are named for 10.0.0.0/8`},
		{strings.Join(domains, ","), "named for x.test"},
		{strings.Join(ports[:7], ","), ""},
		{strings.Join(ports[:4], ",") + "," + strings.Join(domains[:7], ","), ""},
	} {
		config := Config{Profiles: []*profile.Profile{parse(t, "curl", "rules = ["+c.rules+"]")}, Default: profile.Permit}
		err := Check(config)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v; want %q", err, c.want)
		}
	}
	config := Config{Profiles: []*profile.Profile{parse(t, "curl", "rules = ["+strings.Join(ports, ",")+"]")}, Default: profile.Permit}
	d := New(config).Decide("curl", profile.Flow{Addr: netip.MustParseAddr("10.1.2.3"), Port: 1, Protocol: profile.UDP})
	if d.Action != profile.Deny || !strings.Contains(d.Reason, "join ports to ranges") {
		t.Errorf("got %+v; want a refusal that says why", d)
	}
}

func TestInvalidDefaultRefuses(t *testing.T) {
	for _, e := range []*Engine{New(Config{}), New(Config{Default: "ask"})} {
		if d := e.Decide("", profile.Flow{}); d.Action != profile.Deny {
			t.Errorf("got %+v", d)
		}
	}
}

func TestSwapWhileDeciding(t *testing.T) {
	a, b := testConfig(t), testConfig(t)
	b.Profiles[0] = parse(t, "curl", `rules = ["deny 127.0.0.66"]`)
	e := New(a)
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for range 200 {
				if d := e.Decide("curl", profile.Flow{Addr: netip.MustParseAddr("127.0.0.66")}); d.Action != profile.Deny {
					t.Errorf("got %+v", d)
				}
				e.Compile("curl")
				e.CompileAddr("curl", profile.Flow{Domain: "ads.test"})
			}
		})
	}
	for i := range 50 {
		e.Swap([]Config{b, a}[i%2])
	}
	work.Wait()
}
