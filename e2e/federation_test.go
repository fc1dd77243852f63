package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"safing/netmap"
	"safing/port17/client"
)

// until waits for what must happen: for f to return nil.
func until(t *testing.T, what string, f func() error) {
	t.Helper()
	untilWithin(t, what, patience, f)
}

func untilWithin(t *testing.T, what string, limit time.Duration, f func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// periodOf returns when the period began in which the map was made.
func periodOf(m *netmap.Map) time.Time { return m.ValidUntil.Add(-shortValidity) }

// linksOf returns how many links the map has of the node; -1 if it lacks it.
func linksOf(m *netmap.Map, id netmap.NodeID) int {
	i, ok := m.Index(id)
	if !ok {
		return -1
	}
	return len(m.Edges(i))
}

// inFirstHalf says on which side of a partition the node is.
func (m *federation) inFirstHalf(id netmap.NodeID) bool {
	n := m.node(id)
	return n != nil && n.place < len(places)/2
}

// across returns how many links lead from one half of the nodes to the other, and
// how many there are.
func (m *federation) across(now *netmap.Map) (across, all int) {
	first := func(i int) bool { return m.inFirstHalf(now.Nodes[i].ID) }
	for i := range now.Nodes {
		for _, e := range now.Edges(i) {
			if e.To > i {
				all++
				if first(i) != first(e.To) {
					across++
				}
			}
		}
	}
	return across, all
}

// A network of three authorities, three witnesses and forty nodes, which are up
// to 80 ms apart, does what its map promises while nodes come, die and are
// parted from each other, and authorities die.
func TestFederation(t *testing.T) {
	begun := time.Now()
	m := startFederation(t)
	m.startClient()
	count := nodesOfPlace * len(places)
	until(t, "a map with links of all nodes", func() error {
		now := m.client.Map()
		if now == nil {
			return errors.New("the client has none: " + m.client.Status().Problem)
		}
		linked := 0
		for i := range now.Nodes {
			if len(now.Edges(i)) >= 8 {
				linked++
			}
		}
		if linked < count {
			return fmt.Errorf("map %d has %d nodes, and links of %d", now.Sequence, len(now.Nodes), linked)
		}
		return nil
	})
	_, links := m.across(m.client.Map())
	t.Logf("%d nodes with %d links were on the map after %v", count, links, since(begun))
	for _, step := range []struct {
		name string
		test func(*testing.T)
	}{
		{"join", m.testJoin},
		{"kill", m.testKill},
		{"routes", m.testRoutes},
		{"part", m.testPart},
		{"measured", m.testMeasured},
		{"use", m.testUse},
		{"authorities", m.testAuthorities},
	} {
		begun := time.Now()
		if !t.Run(step.name, step.test) {
			return // the others build on it
		}
		t.Logf("%s took %v", step.name, since(begun))
	}
}

// since is the time since then, for people.
func since(then time.Time) time.Duration { return time.Since(then).Round(10 * time.Millisecond) }

// startClient starts one in this process, and a server beside it.
func (m *federation) startClient() {
	m.t.Helper()
	c, err := client.New(m.t.Context(), client.Config{Network: m.trust, State: filepath.Join(m.dir, "client")})
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { c.Close() })
	m.client = c
	l, err := net.Listen("tcp", netip.AddrPortFrom(hereHost, 0).String())
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { l.Close() })
	m.echo = netip.MustParseAddrPort(l.Addr().String())
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c) //nolint:errcheck // the client sees it
				c.Close()
			}()
		}
	}()
}

// dial opens a connection on a circuit of its own, and says something.
func (m *federation) dial(app string) (*client.Conn, error) {
	ctx, cancel := context.WithTimeout(m.t.Context(), 5*time.Second)
	defer cancel()
	c, err := m.client.Dial(ctx, client.Request{Addr: m.echo, App: app})
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(5 * time.Second)) //nolint:errcheck // it has one
	text := []byte("hello")
	if _, err = c.Write(text); err == nil {
		_, err = io.ReadFull(c, text)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, c.SetDeadline(time.Time{})
}

// follow waits for a map with something, and returns it with the last one without.
// Authorities that are busy may miss a period, so what is late is told by that:
// no map may still lack what was there in time.
func (m *federation) follow(t *testing.T, what string, has func(*netmap.Map) bool) (without, with *netmap.Map) {
	t.Helper()
	until(t, what, func() error {
		if with = m.client.Map(); has(with) {
			return nil
		}
		without = with
		return fmt.Errorf("not on map %d", with.Sequence)
	})
	return without, with
}

// inTime complains of a map without what was known so long before its period.
func inTime(t *testing.T, what string, without *netmap.Map, known time.Time) {
	t.Helper()
	if after := periodOf(without).Sub(known); after > shortMargin+slack {
		t.Errorf("%s: not on map %d, of the period that began %v later", what, without.Sequence, after)
	}
}

// slack is for what happens between: changes within 0.2 s are published together,
// and messages and busy cores take time, too.
const slack = 700 * time.Millisecond

// A node that joins is on the next map once the authorities have reached it, and
// with its links on the one after that.
func (m *federation) testJoin(t *testing.T) {
	begun := time.Now()
	if err := m.addNode(1, nodesOfPlace); err != nil {
		t.Fatal(err)
	}
	joined := m.nodes[len(m.nodes)-1]
	ready := time.Now() // it publishes 0.2 s later
	without, listed := m.follow(t, "the node", func(now *netmap.Map) bool { return linksOf(now, joined.id) >= 0 })
	inTime(t, "a node that has joined", without, ready)
	_, linked := m.follow(t, "its links", func(now *netmap.Map) bool { return linksOf(now, joined.id) >= 3 })
	t.Logf("on the map after %v of its start, with %d links %v after it was ready: in the periods that began %v and %v after that",
		since(begun), linksOf(linked, joined.id), since(ready), periodOf(listed).Sub(ready), periodOf(linked).Sub(ready))
	if linked.Sequence > listed.Sequence+1 {
		t.Errorf("a node on map %d has links on map %d, want the next", listed.Sequence, linked.Sequence)
	}
}

// A node that dies is on no new circuit, loses its links on the next map, and is
// off the map when it has not published for three periods.
func (m *federation) testKill(t *testing.T) {
	conn, err := m.dial("victim")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	route := conn.Route()
	victim := m.node(route[len(route)-1].ID)
	victim.kill()
	killed := time.Now()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a dead exit has sent something")
	}
	t.Logf("the circuit ended after %v", since(killed))
	dialled, failed := 0, 0
	linked, unlinked := m.follow(t, "its links are gone", func(now *netmap.Map) bool {
		if linksOf(now, victim.id) <= 0 {
			return true
		}
		conn, err := m.dial(fmt.Sprint("after", dialled))
		if dialled++; err != nil {
			t.Logf("a new circuit: %v", err)
			failed++
			return false
		}
		defer conn.Close()
		if slices.ContainsFunc(conn.Route(), func(h client.HopInfo) bool { return h.ID == victim.id }) {
			t.Error("a new circuit uses the node that has died")
		}
		return false
	})
	t.Logf("its links were gone from the client's map after %v, from that of the period that began after %v; until then %d circuits, %d of which failed",
		since(killed), periodOf(unlinked).Sub(killed), dialled, failed)
	inTime(t, "that a node's links are gone", linked, killed)
	if failed > 1 {
		t.Errorf("%d new circuits failed", failed)
	}
	listed, gone := m.follow(t, "the node is gone", func(now *netmap.Map) bool { return linksOf(now, victim.id) < 0 })
	t.Logf("it was off the map of the period that began %v after it died", periodOf(gone).Sub(killed))
	if listed != nil {
		inTime(t, "that a node is gone", listed, killed.Add(3*shortPeriod))
	}
}

// The round trips on the map are those of the ways: what the two ends of a link
// measure, the worse of them.
func (m *federation) testMeasured(t *testing.T) {
	var off []float64 // of each link, as a part of the way
	until(t, "round trips as long as the ways", func() error {
		now := m.client.Map()
		off = off[:0]
		for i := range now.Nodes {
			for _, e := range now.Edges(i) {
				a, b := m.node(now.Nodes[i].ID), m.node(now.Nodes[e.To].ID)
				if a == nil || b == nil || a.place == b.place || e.To < i {
					continue
				}
				way := 2 * places[a.place].delay(places[b.place])
				part := float64(e.RTT)/float64(way) - 1
				if part < -0.04 {
					t.Fatalf("%s to %s: %v, less than the %v of the way", a.name, b.name, e.RTT, way)
				}
				off = append(off, part)
			}
		}
		slices.Sort(off)
		if half, most := off[len(off)/2], off[len(off)*9/10]; half > 0.25 || most > 0.5 {
			return fmt.Errorf("half are off by %.0f %% or more, and a tenth by %.0f %%", 100*half, 100*most)
		}
		return nil
	})
	at := func(share float64) float64 { return 100 * off[int(math.Ceil(share*float64(len(off)-1)))] }
	t.Logf("round trips of %d links are longer than their ways by %.1f %% (least), %.1f %% (median), %.1f %% (of ten the ninth), %.1f %% (most)",
		len(off), at(0), at(0.5), at(0.9), at(1))
}
