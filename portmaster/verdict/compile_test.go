package verdict

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"safing/feed"
	"safing/profile"
)

// ruleTexts draws rules from a small world, so that they meet each other.
func ruleTexts(t *rapid.T, label string) []profile.Rule {
	what := rapid.SampledFrom([]string{
		"*", "localhost", "lan", "internet", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "127.0.0.0/8",
		"127.0.0.66", "0.0.0.0/0", "128.0.0.0/1", "192.0.2.0/24", "::/0", "::1", "fe80::/10", "2001:db8::/32", "fc00::/8",
		"a.test", ".a.test", "b*", "*c*",
	})
	when := rapid.SampledFrom([]string{"", "", "", " tcp", " udp", " tcp/80", " tcp/80,443", " udp/53", " tcp/1-1000", " tcp/1,3,5", " udp/60000-65535"})
	action := rapid.SampledFrom([]string{"permit", "deny", "tunnel"})
	n := rapid.IntRange(0, 12).Draw(t, label)
	rules := make([]profile.Rule, n)
	for i := range rules {
		text := action.Draw(t, "action") + " " + what.Draw(t, "what") + when.Draw(t, "when")
		r, err := profile.ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		rules[i] = r
	}
	return rules
}

func drawAddr(t *rapid.T) netip.Addr {
	known := rapid.SampledFrom([]string{
		"10.0.0.1", "10.1.0.1", "10.1.2.1", "10.1.2.3", "10.1.2.4", "127.0.0.1", "127.0.0.66", "0.0.0.0", "192.0.2.9",
		"192.168.1.1", "9.255.255.255", "11.0.0.0", "224.0.0.251", "255.255.255.255", "::1", "::", "fe80::1", "2001:db8::1",
		"fc00::1", "fd00::1", "ff02::1", "2600::1", "::ffff:10.1.2.3", "::ffff:8.8.8.8",
	})
	if rapid.Bool().Draw(t, "known") {
		return netip.MustParseAddr(known.Draw(t, "addr"))
	}
	if rapid.Bool().Draw(t, "v4") {
		return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "bytes")))
	}
	return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes")))
}

// reference reads the rules as a person would. The count is of conditions up
// to the first rule that leaves nothing over.
func reference(c Config, f profile.Flow) (action profile.Action, conditions int) {
	answer := func(a profile.Action) {
		if action == "" {
			action = a
		}
	}
	for _, rules := range [][]profile.Rule{c.Profiles[0].Rules, c.Rules} {
		for _, r := range rules {
			if r.Matches(f) {
				answer(r.Action)
			}
			if !r.MatchesTarget(f) {
				continue
			}
			if r.Protocol == 0 {
				return action, conditions
			}
			conditions += max(1, len(r.Ports))
		}
	}
	for _, l := range c.Feeds {
		if _, ok := l.Lookup(f.Domain); ok {
			answer(profile.Deny)
		}
	}
	answer(c.Profiles[0].Default)
	return action, conditions
}

// kernel decides as the kernel does.
func kernel(entries []Entry, f profile.Flow) profile.Action {
	addr := f.Addr.Unmap()
	best := -1
	for i, e := range entries {
		if e.Prefix.Contains(addr) && (best < 0 || e.Prefix.Bits() > entries[best].Prefix.Bits()) {
			best = i
		}
	}
	if best < 0 {
		return profile.Deny
	}
	return firstCase(entries[best].Cases, f)
}

func firstCase(cases []Case, f profile.Flow) profile.Action {
	for _, c := range cases {
		if c.matches(f.Protocol, f.Port) {
			return c.Action
		}
	}
	return profile.Deny
}

func drawConfig(t *rapid.T, lists ...*feed.Feed) Config {
	return Config{
		Profiles: []*profile.Profile{{
			ID: "x", Name: "x", Rules: ruleTexts(t, "own"),
			Default: rapid.SampledFrom([]profile.Action{profile.Permit, profile.Deny, profile.Tunnel}).Draw(t, "default"),
		}},
		Rules: ruleTexts(t, "global"), Feeds: lists,
	}
}

func drawFlow(t *rapid.T) profile.Flow {
	return profile.Flow{
		Addr:     drawAddr(t),
		Port:     rapid.SampledFrom([]uint16{0, 1, 3, 53, 80, 443, 1000, 1001, 60000, 65535}).Draw(t, "port"),
		Protocol: rapid.SampledFrom([]uint8{profile.TCP, profile.UDP, 1, 58}).Draw(t, "protocol"),
	}
}

// TestKernelAgrees holds the compiled table, the engine and a plain reading of
// the rules against each other.
func TestKernelAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t)
		e := New(c)
		entries := e.Compile("x")
		for _, entry := range entries {
			sound(t, e, entry.Cases)
		}
		overfull := Check(c) != nil
		for range 20 {
			f := drawFlow(t)
			d := e.Decide("x", f)
			if got := kernel(entries, f); got != d.Action {
				t.Fatalf("%+v: the kernel says %s, the engine %+v", f, got, d)
			}
			agrees(t, c, f, d, overfull)
		}
	})
}

// TestKernelAgreesOnNames does the same for addresses that have a name.
func TestKernelAgreesOnNames(t *testing.T) {
	list := ads(t)
	rapid.Check(t, func(t *rapid.T) {
		c := drawConfig(t, list)
		e := New(c)
		for range 20 {
			f := drawFlow(t)
			f.Domain = rapid.SampledFrom([]string{"a.test", "b.a.test", "c.ads.test", "other.test"}).Draw(t, "domain")
			cases := e.CompileAddr("x", f)
			sound(t, e, cases)
			d := e.Decide("x", f)
			if got := firstCase(cases, f); got != d.Action {
				t.Fatalf("%+v: the kernel says %s, the engine %+v", f, got, d)
			}
			agrees(t, c, f, d, true)
			before, decided := e.DecideDomain("x", f.Domain, nil)
			if byName := decided && before.Action == profile.Deny && before.Layer != LayerDefault && before.Rule != "deny *"; byName {
				continue // it is not resolved, whatever the address would be
			}
			if decided && before.Action != profile.Tunnel && before.Action != d.Action && d != e.policy("x").tooMany {
				t.Fatalf("%+v: %+v was said of the name, %+v of the connection", f, before, d)
			}
			if d.Action == profile.Tunnel && before.Action != profile.Tunnel {
				t.Fatalf("%+v: the question was not tunnelled, but the connection is", f)
			}
		}
	})
}

// sound checks what the kernel requires of cases.
func sound(t *rapid.T, e *Engine, cases []Case) {
	if len(cases) == 0 || len(cases) > CasesLimit || !cases[len(cases)-1].unconditional() {
		t.Fatalf("cases %+v", cases)
	}
	for _, c := range cases {
		if d, ok := e.Rule(c.Rule); !ok || d.Action != c.Action {
			t.Fatalf("case %+v has the reason %+v, %v", c, d, ok)
		}
	}
}

func agrees(t *rapid.T, c Config, f profile.Flow, d Decision, mayBeFull bool) {
	want, conditions := reference(c, f)
	if conditions >= CasesLimit && d.Action == profile.Deny && mayBeFull {
		return // it may be too much for the kernel; then it is refused
	}
	if d.Action != want {
		t.Fatalf("%+v: got %+v; want %s", f, d, want)
	}
}

func TestCompileLeavesOutWhatIsSaidAlready(t *testing.T) {
	p := parse(t, "curl", `default = "permit"
rules = ["deny 10.0.0.0/8", "deny 10.1.0.0/16", "permit 11.0.0.0/8", "tunnel 10.0.0.0/7"]`)
	e := New(Config{Profiles: []*profile.Profile{p}})
	got := ""
	for _, x := range e.Compile("curl") {
		got += fmt.Sprintf("%v:%d ", x.Prefix, len(x.Cases))
	}
	// 10.1.0.0/16 lies in a network whose rule comes first.
	if want := "0.0.0.0/0:1 10.0.0.0/7:1 10.0.0.0/8:1 11.0.0.0/8:1 ::/0:1 "; got != want {
		t.Errorf("got %s; want %s", got, want)
	}
}

func BenchmarkDecide(b *testing.B) {
	e := New(testConfig(b))
	f := profile.Flow{Domain: "www.example.test", Addr: netip.MustParseAddr("192.0.2.1"), Port: 80, Protocol: profile.TCP}
	b.ReportAllocs()
	for b.Loop() {
		e.Decide("curl", f)
	}
}

func BenchmarkCompile(b *testing.B) {
	p := &profile.Profile{ID: "x", Default: profile.Deny}
	for i := range 10_000 {
		r, err := profile.ParseRule(fmt.Sprintf("permit 10.%d.%d.0/24 tcp/443", i/256, i%256))
		if err != nil {
			b.Fatal(err)
		}
		p.Rules = append(p.Rules, r)
	}
	e := New(Config{Profiles: []*profile.Profile{p}})
	b.ReportAllocs()
	for b.Loop() {
		e.Compile("x")
	}
}
