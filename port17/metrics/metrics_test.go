package metrics

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"safing/netmap"
	"safing/port17/cell"
	"safing/port17/link"
	"safing/port17/node"
	"safing/port17/testnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCollector(t *testing.T) {
	s := node.Stats{
		Neighbours: 3, Links: map[node.LinkKind]int{{}: 2, {Wrapping: netmap.QUIC}: 1, {Node: true}: 5}, Circuits: 7, Handshakes: 9, HandshakesWaiting: 1, CellsUsed: 10, CellsMost: 20,
		RoundTrips: []time.Duration{time.Millisecond, 3 * time.Millisecond, 2 * time.Second},
		Traffic:    link.Traffic{CellsSent: 11, CellsReceived: 12, BytesSent: 13, BytesReceived: 14},
		Ended: node.Ended{
			Circuits: map[cell.Reason]uint64{cell.Finished: 5, 0: 6},
			Streams:  map[cell.Reason]uint64{cell.TooFast: 4},
			Links:    map[cell.Reason]uint64{cell.LinkBroken: 3},
		},
		Drops:    node.Drops{Limit: 8},
		Refusing: cell.Exhausted, Volume: 100, MonthlyVolume: 100,
	}
	want := `
# HELP port17_bytes_total Bytes on links.
# TYPE port17_bytes_total counter
port17_bytes_total{direction="received"} 14
port17_bytes_total{direction="sent"} 13
# HELP port17_datagrams_dropped_total Datagrams that the exit did not pass on, by reason.
# TYPE port17_datagrams_dropped_total counter
port17_datagrams_dropped_total{reason="failed"} 0
port17_datagrams_dropped_total{reason="full"} 0
port17_datagrams_dropped_total{reason="limit"} 8
port17_datagrams_dropped_total{reason="name"} 0
port17_datagrams_dropped_total{reason="policy"} 0
port17_datagrams_dropped_total{reason="stranger"} 0
# HELP port17_ended_total Circuits, streams and links that have ended or were refused, by reason.
# TYPE port17_ended_total counter
port17_ended_total{reason="finished",what="circuit"} 5
port17_ended_total{reason="link_broken",what="link"} 3
port17_ended_total{reason="other",what="circuit"} 6
port17_ended_total{reason="too_fast",what="stream"} 4
# HELP port17_links Links by who is at the other side, a node or a client, which stays anonymous, and by what they travel in.
# TYPE port17_links gauge
port17_links{peer="client",wrapping="quic"} 1
port17_links{peer="client",wrapping="tcp"} 2
port17_links{peer="node",wrapping="tcp"} 5
# HELP port17_neighbours Nodes to which there is a link.
# TYPE port17_neighbours gauge
port17_neighbours 3
# HELP port17_pool_bytes Memory of cells in queues and of what is not read yet.
# TYPE port17_pool_bytes gauge
port17_pool_bytes 40960
# HELP port17_refusing 1 if the node refuses circuits, as it stops or has used up its volume.
# TYPE port17_refusing gauge
port17_refusing{reason="exhausted"} 1
port17_refusing{reason="shutting_down"} 0
# HELP port17_round_trip_seconds Round trips to neighbours, the least of the latest of each.
# TYPE port17_round_trip_seconds histogram
port17_round_trip_seconds_bucket{le="0.001"} 1
port17_round_trip_seconds_bucket{le="0.002"} 1
port17_round_trip_seconds_bucket{le="0.005"} 2
port17_round_trip_seconds_bucket{le="0.01"} 2
port17_round_trip_seconds_bucket{le="0.02"} 2
port17_round_trip_seconds_bucket{le="0.05"} 2
port17_round_trip_seconds_bucket{le="0.1"} 2
port17_round_trip_seconds_bucket{le="0.2"} 2
port17_round_trip_seconds_bucket{le="0.5"} 2
port17_round_trip_seconds_bucket{le="1"} 2
port17_round_trip_seconds_bucket{le="+Inf"} 3
port17_round_trip_seconds_sum 2.004
port17_round_trip_seconds_count 3
`
	c := newCollector(func() node.Stats { return s })
	if err := testutil.CollectAndCompare(c, strings.NewReader(want),
		"port17_bytes_total", "port17_datagrams_dropped_total", "port17_ended_total", "port17_links", "port17_neighbours",
		"port17_pool_bytes", "port17_refusing", "port17_round_trip_seconds"); err != nil {
		t.Error(err)
	}
	pedantic := prometheus.NewPedanticRegistry()
	pedantic.MustRegister(c)
	if _, err := pedantic.Gather(); err != nil {
		t.Error(err)
	}
	problems, err := testutil.CollectAndLint(c)
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// The manual explains every metric.
func TestManual(t *testing.T) {
	b, err := os.ReadFile("../../docs/node.md")
	if err != nil {
		t.Fatal(err)
	}
	c := newCollector(func() node.Stats {
		return node.Stats{
			MonthlyVolume: 1, Links: map[node.LinkKind]int{{}: 1},
			Ended: node.Ended{Links: map[cell.Reason]uint64{cell.Finished: 1}},
		}
	})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) < 20 {
		t.Errorf("%d metrics", len(families))
	}
	for _, f := range families {
		if !regexp.MustCompile("`" + f.GetName() + "[`{]").Match(b) {
			t.Errorf("docs/node.md does not explain %s", f.GetName())
		}
	}
}

// Every reason has a label of its own.
func TestLabels(t *testing.T) {
	seen := make(map[string]cell.Reason)
	for i := range 256 {
		r := cell.Reason(i)
		l := label(r)
		if r.Known() != (l != "other") {
			t.Errorf("%s is called %q", r, l)
		}
		if other, ok := seen[l]; ok && r.Known() {
			t.Errorf("%q and %q are both called %s", r, other, l)
		}
		seen[l] = r
	}
}

func TestHealth(t *testing.T) {
	now := time.Now()
	well := node.Stats{MapUntil: now.Add(time.Hour), OnMap: true, Neighbours: 1}
	for want, spoil := range map[string]func(*node.Stats){
		"":                        func(*node.Stats) {},
		"a node shuts down":       func(s *node.Stats) { s.Refusing = cell.ShuttingDown },
		"it has no map yet":       func(s *node.Stats) { s.MapUntil = time.Time{} },
		"its map was valid until": func(s *node.Stats) { s.MapUntil = now },
		"it is not on the map":    func(s *node.Stats) { s.OnMap = false },
		"no link to another node": func(s *node.Stats) { s.Neighbours = 0 },
	} {
		s := well
		spoil(&s)
		if err := health(s, now); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A node that runs shows its numbers, and names nobody.
func TestHandler(t *testing.T) {
	n := testnet.Start(t, 3)
	server := httptest.NewServer(Handler(n.Nodes[0]))
	defer server.Close()
	get := func(path string) (int, string) {
		t.Helper()
		r, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b)
	}
	defer http.DefaultClient.CloseIdleConnections()
	code, text := get("/metrics")
	if code != http.StatusOK || !strings.Contains(text, "\nport17_neighbours 2\n") || !strings.Contains(text, "\ngo_goroutines ") {
		t.Errorf("%d: %s", code, text)
	}
	for _, other := range n.Nodes {
		for _, name := range []string{other.Addr().Addr().String(), other.ID().String(), other.ID().Short()} {
			if strings.Contains(text, name) {
				t.Errorf("the metrics name %s", name)
			}
		}
	}
	if code, text := get("/healthz"); code != http.StatusOK || text != "ok\n" {
		t.Errorf("%d: %s", code, text)
	}
	n.Nodes[0].Close()
	if code, text := get("/healthz"); code != http.StatusServiceUnavailable {
		t.Errorf("a node that has ended: %d: %s", code, text)
	}
}
