package client

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/circuit"
	"safing/port17/circuit/stream"
	"safing/port17/link"
	"safing/port17/route"
)

func planned(c *Client, g group, r route.Request, nodes ...netmap.Node) *shared {
	var hops []circuit.Hop
	for _, n := range nodes {
		hops = append(hops, circuit.Hop{Node: n})
	}
	return c.newShared(g, r, new(link.Link), way{hops: hops})
}

func requestTo(port uint16, country string) route.Request {
	return route.Request{Destination: netip.AddrPortFrom(netip.Addr{}, port), Country: country}
}

// Circuits are built ahead for what was asked for last, few of each kind and in
// all, and none when nothing was asked for a while.
func TestWhatIsBuiltAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{config: Config{Ahead: 4}}
		fill := func() (got []kind) {
			for {
				j, ok := c.next()
				if !ok {
					return got
				}
				if j.group.ahead == 0 || j.group.app != "" {
					t.Fatalf("a circuit for %+v", j.group)
				}
				got = append(got, kindOf(j.request))
				c.ahead.built = append(c.ahead.built, planned(c, j.group, j.request))
			}
		}
		if got := fill(); got != nil {
			t.Errorf("%v are built before anything was asked for", got)
		}
		ssh, german, web := kind{port: 22}, kind{country: "DE", port: 443}, kind{port: 443}
		for _, k := range []kind{ssh, ssh, ssh, german, web, web} {
			c.ahead.note(k)
			time.Sleep(time.Second)
		}
		if got, want := fill(), []kind{web, web, german, ssh}; !slices.Equal(got, want) {
			t.Errorf("%v are built ahead, want %v", got, want)
		}
		c.ahead.built = c.ahead.built[1:]
		if got := fill(); !slices.Equal(got, []kind{web}) {
			t.Errorf("%v are built for one that was taken", got)
		}
		c.ahead.built = nil
		time.Sleep(askedFor)
		if got := fill(); got != nil {
			t.Errorf("%v are built long after anything was asked for", got)
		}
		c.config.Ahead = -1
		c.ahead.note(web)
		if got := fill(); got != nil {
			t.Errorf("%v are built though none shall be", got)
		}
		for range 100 {
			c.ahead.note(web)
		}
		if len(c.ahead.asked) > maxAsked {
			t.Errorf("%d requests are remembered", len(c.ahead.asked))
		}
	})
}

// A group that is active gets a successor before its circuit takes no more
// connections.
func TestSuccessors(t *testing.T) {
	nodes := newMap(t, 0, 3).Nodes
	for name, test := range map[string]struct {
		then func(s *shared)
		want bool
	}{
		"new":           {func(*shared) {}, false},
		"nearly old":    {func(s *shared) { time.Sleep(freshFor - handOver); s.use() }, true},
		"old, not used": {func(*shared) { time.Sleep(freshFor - handOver) }, false},
		"nearly full": {func(s *shared) {
			for range handOut {
				s.use()
			}
		}, true},
		"a node leaves": {func(s *shared) { s.retire() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &Client{config: Config{Ahead: -1}, circuits: make(map[group][]*shared)}
				g := group{app: "a"}
				s := planned(c, g, requestTo(443, ""), nodes...)
				c.circuits[g] = []*shared{s}
				s.use()
				test.then(s)
				j, ok := c.next()
				if ok != test.want || ok && (j.group != g || j.request.Destination.Port() != 443) {
					t.Errorf("%+v, %v, want %v", j, ok, test.want)
				}
				c.circuits[g] = append(c.circuits[g], planned(c, g, j.request, nodes...))
				if j, ok := c.next(); ok {
					t.Errorf("one more successor: %+v", j)
				}
			})
		})
	}
}

// Without network few circuits are tried, and none at last.
func TestPreparerBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := &Client{
			config: Config{Ahead: 6, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))},
			wake:   make(chan struct{}, 1),
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.prepare(ctx)
		}()
		c.mu.Lock()
		c.ahead.note(kind{port: 443})
		c.mu.Unlock()
		c.wakePreparer()
		time.Sleep(askedFor + mostBackOff)
		synctest.Wait()
		tries := strings.Count(log.String(), "could not be built")
		if tries < 5 || tries > 20 {
			t.Errorf("%d tries in ten minutes", tries)
		}
		for range 10 {
			c.wakePreparer()
			time.Sleep(mostBackOff)
		}
		synctest.Wait()
		if again := strings.Count(log.String(), "could not be built"); again > tries {
			t.Errorf("%d tries long after the last request", again-tries)
		}
		cancel()
		<-done
	})
}

// An exit that takes no more streams gets none, those that are there go on.
func TestExitTakesNoMore(t *testing.T) {
	nodes := newMap(t, 0, 3).Nodes
	for reason, want := range map[cell.Reason]struct{ fresh, excluded bool }{
		cell.ShuttingDown:   {false, true},
		cell.TooManyStreams: {false, false},
		cell.Refused:        {true, false},
	} {
		c := &Client{failures: newFailures()}
		s := planned(c, group{}, route.Request{}, nodes...)
		s.heed(&stream.Error{Reason: reason})
		if got := s.use(); got != want.fresh {
			t.Errorf("%v: the circuit is used again: %v", reason, got)
		}
		if got := c.failures.now()[nodes[2].ID]; got != want.excluded {
			t.Errorf("%v: the exit is left out: %v", reason, got)
		}
	}
}

// A circuit is one group's only if it does what the connection needs.
func TestSuits(t *testing.T) {
	nodes := newMap(t, 0, 3).Nodes
	c := &Client{}
	s := planned(c, group{}, route.Request{}, nodes...)
	for _, test := range []struct {
		to   string
		r    route.Requirements
		want bool
	}{
		{"8.8.8.8:443", route.Requirements{}, true},
		{"10.0.0.1:443", route.Requirements{}, false},
		{"8.8.8.8:443", route.Requirements{Nodes: 4}, false},
		{"8.8.8.8:443", route.Requirements{ExitCountries: []string{"SE"}}, false},
	} {
		r := Request{Addr: netip.MustParseAddrPort(test.to), Requirements: test.r}
		to, err := r.target()
		if err != nil {
			t.Fatal(err)
		}
		if got := s.suitsLocked(c.need(r, to)); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}
