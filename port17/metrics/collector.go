package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"safing/port17/cell"
	"safing/port17/node"
)

// A collector takes the node's numbers when it is asked.
type collector struct {
	stats func() node.Stats

	links, neighbours, circuits, cells, bytes, ended, drops *prometheus.Desc
	handshakes, waiting, pool, poolLimit                    *prometheus.Desc
	connections, associations, lookups, trips               *prometheus.Desc
	refusing, volume, volumeLimit, listed, mapUntil         *prometheus.Desc
}

// tripBuckets are bounds of round trips, in seconds.
func tripBuckets() []float64 {
	return []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1}
}

func newCollector(stats func() node.Stats) *collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("port17_"+name, help, labels, nil)
	}
	return &collector{
		stats:        stats,
		links:        desc("links", "Links by who is at the other side, a node or a client, which stays anonymous, and by what they travel in.", "peer", "wrapping"),
		neighbours:   desc("neighbours", "Nodes to which there is a link."),
		circuits:     desc("circuits", "Circuits through the node."),
		cells:        desc("cells_total", "Cells on links.", "direction"),
		bytes:        desc("bytes_total", "Bytes on links.", "direction"),
		ended:        desc("ended_total", "Circuits, streams and links that have ended or were refused, by reason.", "what", "reason"),
		drops:        desc("datagrams_dropped_total", "Datagrams that the exit did not pass on, by reason.", "reason"),
		handshakes:   desc("handshakes_total", "Handshakes of circuits."),
		waiting:      desc("handshakes_waiting", "Handshakes that wait for a worker."),
		pool:         desc("pool_bytes", "Memory of cells in queues and of what is not read yet."),
		poolLimit:    desc("pool_limit_bytes", "Bound of port17_pool_bytes, beyond which circuits end."),
		connections:  desc("exit_connections", "Connections to destinations, and sockets for datagrams."),
		associations: desc("exit_associations", "Associations, which carry datagrams."),
		lookups:      desc("exit_lookups_total", "Names that the exit has looked up.", "result"),
		trips:        desc("round_trip_seconds", "Round trips to neighbours, the least of the latest of each."),
		refusing:     desc("refusing", "1 if the node refuses circuits, as it stops or has used up its volume.", "reason"),
		volume:       desc("volume_bytes", "Bytes moved this month, if a volume is set."),
		volumeLimit:  desc("volume_limit_bytes", "Bytes that may be moved in a month, if a volume is set."),
		listed:       desc("on_map", "1 if the newest map has the node."),
		mapUntil:     desc("map_valid_until_seconds", "Until when the newest map is valid, since 1970; 0 without one."),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.links, c.neighbours, c.circuits, c.cells, c.bytes, c.ended, c.drops, c.handshakes, c.waiting, c.pool, c.poolLimit,
		c.connections, c.associations, c.lookups, c.trips, c.refusing, c.volume, c.volumeLimit, c.listed, c.mapUntil,
	} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	s := c.stats()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for kind, n := range s.Links {
		peer := "client"
		if kind.Node {
			peer = "node"
		}
		gauge(c.links, float64(n), peer, kind.Wrapping.String())
	}
	gauge(c.neighbours, float64(s.Neighbours))
	gauge(c.circuits, float64(s.Circuits))
	count(c.cells, s.Traffic.CellsSent, "sent")
	count(c.cells, s.Traffic.CellsReceived, "received")
	count(c.bytes, s.Traffic.BytesSent, "sent")
	count(c.bytes, s.Traffic.BytesReceived, "received")
	for what, by := range map[string]map[cell.Reason]uint64{"circuit": s.Ended.Circuits, "stream": s.Ended.Streams, "link": s.Ended.Links} {
		for reason, n := range by {
			count(c.ended, n, what, label(reason))
		}
	}
	for reason, n := range map[string]uint64{
		"policy": s.Drops.Policy, "limit": s.Drops.Limit, "name": s.Drops.Name,
		"stranger": s.Drops.Stranger, "full": s.Drops.Full, "failed": s.Drops.Failed,
	} {
		count(c.drops, n, reason)
	}
	count(c.handshakes, s.Handshakes)
	gauge(c.waiting, float64(s.HandshakesWaiting))
	gauge(c.pool, float64(s.CellsUsed)*cell.Size)
	gauge(c.poolLimit, float64(s.CellsMost)*cell.Size)
	gauge(c.connections, float64(s.Connections))
	gauge(c.associations, float64(s.Associations))
	count(c.lookups, s.Lookups.Found, "found")
	count(c.lookups, s.Lookups.NotFound, "not_found")
	count(c.lookups, s.Lookups.TimedOut, "timed_out")
	count(c.lookups, s.Lookups.Failed, "failed")
	out <- c.roundTrips(s)
	for _, reason := range []cell.Reason{cell.ShuttingDown, cell.Exhausted} {
		gauge(c.refusing, number(s.Refusing == reason), label(reason))
	}
	if s.MonthlyVolume > 0 {
		gauge(c.volume, float64(s.Volume))
		gauge(c.volumeLimit, float64(s.MonthlyVolume))
	}
	gauge(c.listed, number(s.OnMap))
	until := 0.0
	if !s.MapUntil.IsZero() {
		until = float64(s.MapUntil.Unix())
	}
	gauge(c.mapUntil, until)
}

func (c *collector) roundTrips(s node.Stats) prometheus.Metric {
	buckets := make(map[float64]uint64)
	sum := 0.0
	for _, bound := range tripBuckets() {
		buckets[bound] = 0
	}
	for _, d := range s.RoundTrips {
		sum += d.Seconds()
		for bound := range buckets {
			if d.Seconds() <= bound {
				buckets[bound]++
			}
		}
	}
	return prometheus.MustNewConstHistogram(c.trips, uint64(len(s.RoundTrips)), sum, buckets)
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
