package portmaster

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"safing/portmaster/history"
	"safing/portmaster/kernel"
	"safing/portmaster/process"
	"safing/portmaster/verdict"
	"safing/profile"
)

// tape is a stream of events that ends.
type tape struct {
	events []kernel.Event
	end    context.CancelFunc
}

func (s *tape) Read(ctx context.Context) (kernel.Event, error) {
	if len(s.events) == 0 {
		s.end()
		return kernel.Event{}, ctx.Err()
	}
	e := s.events[0]
	s.events = s.events[1:]
	return e, nil
}

func newDescriber(t *testing.T) *describer {
	a, _ := newTestApps(t, machine{}, map[string]string{"curl": curlProfile})
	mustLoad(t, a)
	return &describer{
		apps: a, names: newNames(new(flows), map[string][]kernel.Case{"example.com": all(kernel.Tunnel, 5)}),
		process: func(p kernel.Process) process.Info { return process.Info{Path: p.Path, Args: p.Args, Cgroup: "/lab"} },
		rule: func(id uint32) (verdict.Decision, bool) {
			d, ok := map[uint32]verdict.Decision{
				5: {Action: profile.Tunnel, Reason: "curl.toml says tunnel", Rule: "tunnel *"},
				6: {Action: profile.Deny, Reason: "curl.toml says deny", Rule: "deny 127.0.0.66"},
			}[id]
			return d, ok
		},
	}
}

func TestEventsBecomeEntries(t *testing.T) {
	d := newDescriber(t)
	learn(t, d.names, 1, "example.com", noon)
	curl := kernel.Process{PID: 42, UID: 1000, Path: "/usr/bin/curl", Args: []string{"curl", "-s"}}
	to := netip.MustParseAddrPort("192.0.2.1:443")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	table := history.NewTable(10, 0)
	var strangers []string
	r := &recorder{
		source: &tape{[]kernel.Event{
			{Time: noon, Process: curl, App: 1, Protocol: 6, Destination: to, Action: kernel.Tunnel, Rule: 5, Cookie: 1},
			{Time: noon, Process: curl, App: 1, Protocol: 6, Destination: netip.MustParseAddrPort("127.0.0.66:80"), Action: kernel.Deny, Rule: 6, Cookie: 2},
			{Time: noon, Process: curl, App: 1, Protocol: 17, Destination: to, Action: kernel.Deny, Rule: 5, Cookie: 3},
			{Time: noon, Process: kernel.Process{PID: 43, Path: "/bin/other"}, Protocol: 132, Destination: to, Action: kernel.Deny, Cookie: 4},
			{Time: noon, Process: curl, App: 1, Protocol: 17, Destination: netip.MustParseAddrPort("192.0.2.9:53"), Action: kernel.Permit, Cookie: 5, DNS: true},
		}, cancel},
		table: table, describe: d.event, unbound: func(path string) { strangers = append(strangers, path) },
	}
	r.run(ctx)
	got := table.Snapshot(history.Filter{})
	if len(got) != 4 {
		t.Fatalf("%d entries, want 4: %+v", len(got), got)
	}
	tunnelled, denied, udp, unknown := got[0], got[1], got[2], got[3]
	if tunnelled.Ended != nil || tunnelled.Verdict != "tunnel" || tunnelled.App.ID != "curl" || tunnelled.Destination.Domain != "example.com" ||
		tunnelled.Process.PID != 42 || tunnelled.Process.Cgroup != "/lab" || !slices.Equal(tunnelled.Process.Args, curl.Args) {
		t.Errorf("the tunnelled connection: %+v", tunnelled)
	}
	if denied.Ended == nil || denied.Verdict != "deny" || denied.Rule != "deny 127.0.0.66" || denied.Reason != "curl.toml says deny" {
		t.Errorf("the denied connection: %+v", denied)
	}
	if udp.Verdict != "deny" || udp.Protocol != "udp" || !strings.HasPrefix(udp.Reason, "only TCP can be tunnelled") {
		t.Errorf("datagrams that should be tunnelled: %+v", udp)
	}
	if unknown.App.ID != "" || unknown.Process.Path != "/bin/other" || unknown.Reason != "no rule permits it" || unknown.Protocol != "132" {
		t.Errorf("an unknown program: %+v", unknown)
	}
	if !slices.Equal(strangers, []string{"/bin/other"}) || r.tunnelled.Load() != 1 || r.denied.Load() != 3 || r.permitted.Load() != 0 {
		t.Errorf("strangers %v, counted %d %d %d", strangers, r.tunnelled.Load(), r.denied.Load(), r.permitted.Load())
	}
}

// judge refuses one domain and everything that leads to it.
type judge string

func (j judge) DecideDomain(app, domain string, cnames []string) (verdict.Decision, bool) {
	if domain == string(j) || slices.Contains(cnames, string(j)) {
		return verdict.Decision{Action: profile.Deny, Reason: "the list ads has " + string(j), Rule: string(j)}, true
	}
	return verdict.Decision{}, false
}

func TestRefusedQuestionsAreListedOnce(t *testing.T) {
	d := newDescriber(t)
	table := history.NewTable(10, 0)
	q := &questions{origins: everyone{}, apps: d.apps, names: d.names, table: table, describe: d, engine: judge("ads.example")}
	a, err := q.asker(netip.MustParseAddrPort("127.0.0.1:4000"), protocolUDP)
	if err != nil || a.app != 1 || a.process.PID != 42 {
		t.Fatalf("asker: %+v, %v", a, err)
	}
	for _, at := range []time.Duration{0, time.Millisecond, time.Second} { // A, AAAA, and again
		if v, ok := q.allowed(a, "ads.example", nil, noon.Add(at)); ok || v.Reason != "the list ads has ads.example" {
			t.Errorf("got %+v, %v", v, ok)
		}
	}
	if _, ok := q.allowed(a, "hidden.example", []string{"ads.example"}, noon); ok {
		t.Error("an alias of a refused name was allowed")
	}
	if _, ok := q.allowed(a, "fine.example", nil, noon); !ok {
		t.Error("another name was refused")
	}
	got := table.Snapshot(history.Filter{})
	if len(got) != 2 {
		t.Fatalf("%d entries, want 2: %+v", len(got), got)
	}
	c := got[0]
	if c.Kind != "dns" || c.Verdict != "deny" || c.Destination.Domain != "ads.example" || c.App.ID != "curl" || c.Ended == nil || c.Rule != "ads.example" {
		t.Errorf("the refused question: %+v", c)
	}
}
