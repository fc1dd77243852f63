package node

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"safing/internal/traceroute"
	"safing/netmap"
	"safing/port17/link"
	"safing/port17/mesh"
)

// alone puts the node on a map with one other, which has the identity.
func alone(t *testing.T, n *Node, other netmap.NodeID) {
	t.Helper()
	n.id = netmap.NodeID{9} // the second of two that want each other
	n.config.MaxLinks = 16
	n.descriptor = &netmap.Descriptor{ID: n.id, Country: "DE", ASN: 1, Published: time.Now()}
	at := netip.MustParseAddrPort("192.0.2.7:17")
	m, err := netmap.New("test", 1, time.Now(), time.Now().Add(24*time.Hour), []netmap.Node{
		{Descriptor: n.descriptor},
		{Descriptor: &netmap.Descriptor{ID: other, Country: "FR", Addresses: []netip.AddrPort{at}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.m = m
	s := mesh.New(m).Choose(mesh.View{Self: n.descriptor})
	n.selection = &s
	n.wanted = map[netmap.NodeID]bool{other: true}
	n.held = make(map[netmap.NodeID]chan<- struct{})
	n.thinking = make(chan struct{}, 1)
	n.prospects.unwanted = make(map[netmap.NodeID]time.Time)
}

// retire lets the node look at its links.
func retire(n *Node) {
	n.mu.Lock()
	n.retireLocked(time.Now())
	n.mu.Unlock()
	synctest.Wait()
}

// publishes says whether the node would publish a link to the other.
func publishes(n *Node, other netmap.NodeID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Contains(n.publishedLocked(), other)
}

// A neighbour that is no longer wanted is published for a while, and the link
// to it closed when no circuit uses it.
func TestUnwantedNeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l, _ := linked(t)
		other := netmap.NodeID{7}
		alone(t, n, other)
		n.track(t.Context(), l)
		n.keep(other, l)
		leg, err := l.Open(refused{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		retire(n)
		clear(n.wanted)
		retire(n)
		if !publishes(n, other) {
			t.Error("a neighbour is dropped as soon as it is not wanted")
		}
		n.prospects.unwanted[other] = time.Now().Add(-retireAfter - time.Second)
		retire(n)
		if publishes(n, other) || l.Err() != nil {
			t.Errorf("after a while the link is published, or has ended: %v", l.Err())
		}
		n.prospects.unwanted[other] = time.Now().Add(-retireAfter - closeAfter - time.Second)
		retire(n)
		if l.Err() != nil {
			t.Errorf("a link with a circuit has ended: %v", l.Err())
		}
		leg.Close(0, 0)
		synctest.Wait()
		retire(n)
		<-l.Done()
		synctest.Wait()
		if len(n.neighbours) != 0 || len(n.prospects.unwanted) != 0 || len(n.since) != 0 {
			t.Error("the neighbour is not forgotten")
		}
	})
}

// A neighbour that is wanted again in time loses nothing.
func TestWantedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, l, _ := linked(t)
		other := netmap.NodeID{7}
		alone(t, n, other)
		n.track(t.Context(), l)
		n.keep(other, l)
		n.prospects.unwanted[other] = time.Now().Add(-2 * retireAfter)
		retire(n)
		if l.Err() != nil || !publishes(n, other) {
			t.Errorf("the link to a wanted neighbour is not published, or ended: %v", l.Err())
		}
	})
}

func TestRoundTripDrifts(t *testing.T) {
	for _, c := range []struct {
		was, is time.Duration
		want    bool
	}{
		{0, 0, false},
		{0, time.Millisecond, true},
		{100 * time.Microsecond, 900 * time.Microsecond, false},
		{50 * time.Millisecond, 54 * time.Millisecond, false},
		{50 * time.Millisecond, 56 * time.Millisecond, true},
		{50 * time.Millisecond, 44 * time.Millisecond, true},
	} {
		if got := drifted(c.was, c.is); got != c.want {
			t.Errorf("from %v to %v: %v", c.was, c.is, got)
		}
	}
}

// Measured round trips are bounded: the oldest goes first.
func TestMeasuredIsBounded(t *testing.T) {
	n := &Node{prospects: newProspects()}
	now := time.Now()
	id := func(i int) netmap.NodeID { return netmap.NodeID{byte(i), byte(i >> 8), 1} }
	for i := range mostMeasured + 5 {
		n.measuredLocked(id(i), time.Millisecond, now.Add(time.Duration(i)*time.Second))
	}
	if _, ok := n.measured[id(4)]; ok || len(n.measured) != mostMeasured {
		t.Errorf("%d are kept, the oldest among them: %v", len(n.measured), ok)
	}
}

// The path's ends are published when nothing was traced, and what was found when
// something was.
func TestCrossed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _, _ := linked(t)
		other := netmap.NodeID{7}
		alone(t, n, other)
		n.descriptor.Links = []netmap.Link{{To: other}}
		n.neighbours[other] = []*link.Link{new(link.Link)}
		to, ok := n.untraced()
		if !ok || to.ID != other {
			t.Fatal("the neighbour is not to be traced")
		}
		for _, c := range []struct {
			path   traceroute.Path
			err    error
			traced bool
		}{
			{err: errors.New("no route")},
			{path: traceroute.Path{Hops: []traceroute.Hop{{}, {}}}},
			{path: traceroute.Path{Hops: []traceroute.Hop{{}, {Addr: netip.MustParseAddr("198.51.100.1")}}}, traced: true},
			{path: traceroute.Path{Hops: []traceroute.Hop{{Addr: to.Addresses[0].Addr()}}, Outcome: traceroute.Reached}, traced: true},
		} {
			n.trace = func(context.Context, netip.Addr, traceroute.Config) (traceroute.Path, error) { return c.path, c.err }
			if err := n.traceTo(t.Context(), to); !errors.Is(err, c.err) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			got := n.crossedLocked(other)
			if !slices.Equal(got.ASNs, []uint32{1}) || !slices.Equal(got.Countries, []string{"DE", "FR"}) || got.Traced != c.traced {
				t.Errorf("%v: crosses %v, want both ends, traced: %v", c.path, got, c.traced)
			}
			if _, again := n.untraced(); again {
				t.Error("it is traced twice a day")
			}
		}
		time.Sleep(traceEvery)
		n.m.ValidUntil = time.Now().Add(time.Hour)
		if _, again := n.untraced(); !again {
			t.Error("it is not traced on the next day")
		}
	})
}

func TestLoad(t *testing.T) {
	n := &Node{config: Config{Rate: 1000}, maxCells: 100, handshakes: newHandshakes(maxHandshakes)}
	now := time.Now()
	for _, c := range []struct {
		is   usage
		want float64
	}{
		{usage{at: now.Add(10 * time.Second)}, 0},
		{usage{at: now.Add(10 * time.Second), sent: 5000, received: 2000}, 50},
		{usage{at: now.Add(10 * time.Second), received: 50_000}, 100},
		{usage{at: now}, 0},
	} {
		if got := n.busy(usage{at: now}, c.is); got != c.want {
			t.Errorf("%+v: %v %%, want %v", c.is, got, c.want)
		}
	}
	for load, want := range map[float64]int{0: 0, 4: 0, 17: 20, 100: 100} {
		if got := percent(load); got != want {
			t.Errorf("%v is said as %d", load, got)
		}
	}
	if before := processTime(); before <= 0 {
		t.Errorf("the process has used %v", before)
	}
}
