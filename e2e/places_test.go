package e2e

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"safing/internal/wan"
	"safing/netmap"
	"safing/port17/client"
)

// The network of TestFederation.
const (
	shortPeriod   = 2 * time.Second
	shortValidity = 5 * shortPeriod
	// shortMargin is how long before a period something has to be published to be
	// on its map: a round of authorities that take two in a third of a period.
	shortMargin = shortPeriod / 6

	nodesOfPlace = 5
	witnessPort  = 8130
)

// A place is a host with several nodes, somewhere on a plane whose unit is a
// millisecond: so long is the way to another one, in one direction.
type place struct{ x, y float64 }

// places are those of the nodes. Halves of them are parted from each other.
// The client is beside the third.
var (
	places      = []place{{0, 0}, {4, 2}, {10, 8}, {14, 0}, {22, 6}, {26, 14}, {34, 4}, {38, 10}}
	clientPlace = place{9, 5}
	// Where authorities and witnesses are: two of each in the first half.
	authorityPlaces = []int{0, 2, 5}
	witnessPlaces   = []int{1, 3, 6}
)

func (p place) delay(q place) time.Duration {
	return time.Duration(max(math.Hypot(p.x-q.x, p.y-q.y), 2.5) * float64(time.Millisecond))
}

// placeAddr returns the address of a place's node, in a /16 of its own. The first
// is that of the host's other programs, too.
func placeAddr(place, node int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(10 + 8*place + node), 0, 1})
}

var hereHost = netip.MustParseAddr("10.100.0.1")

// A federation is a network of several authorities and witnesses, whose nodes are at
// different distances, and what this process knows of it as a client.
type federation struct {
	*estate
	file        string
	trust       *netmap.Network
	authorities []*program
	witnesses   []*program

	mu    sync.Mutex
	nodes []*member

	client *client.Client
	echo   netip.AddrPort // of a server beside the client
}

// A member is a node of the network.
type member struct {
	*program
	id      netmap.NodeID
	name    string
	place   int
	metrics string // address on its host
}

// startFederation starts all but the client.
func startFederation(t *testing.T) *federation {
	t.Helper()
	m := &federation{estate: newEstate(t, wan.Link{})}
	for i := range places {
		var more []netip.Addr
		for k := 1; k <= nodesOfPlace; k++ { // with room for one that joins
			more = append(more, placeAddr(i, k))
		}
		m.host(placeAddr(i, 0), more...)
	}
	if err := m.wan.Join(hereHost); err != nil {
		t.Fatal(err)
	}
	for i, p := range places {
		m.wan.Set(placeAddr(i, 0), hereHost, wan.Link{Delay: p.delay(clientPlace)})
		for k, q := range places[:i] {
			m.wan.Set(placeAddr(i, 0), placeAddr(k, 0), wan.Link{Delay: p.delay(q)})
		}
	}
	m.found()
	for i := range authorityPlaces {
		m.authorities = append(m.authorities, m.startAuthority(i))
	}
	for i, p := range witnessPlaces {
		w, err := m.start(placeAddr(p, 0), "witness", "run", "--state", m.state("witness", i), "--network", m.file,
			"--listen", netip.AddrPortFrom(placeAddr(p, 0), witnessPort).String())
		if err != nil {
			t.Fatal(err)
		}
		m.witnesses = append(m.witnesses, w)
	}
	m.all(nodesOfPlace*len(places), func(i int) error { return m.addNode(i/nodesOfPlace, i%nodesOfPlace) })
	t.Cleanup(func() { // all at once, before each is waited for
		for _, n := range m.nodes {
			n.cmd.Process.Kill() //nolint:errcheck // it may have ended
		}
	})
	return m
}

// state is the folder of a program.
func (m *federation) state(role string, i int) string {
	return filepath.Join(m.dir, fmt.Sprint(role, i))
}

// all runs f for all numbers below n, a few at a time.
func (m *federation) all(n int, f func(i int) error) {
	m.t.Helper()
	errs := make([]error, n)
	slots := make(chan struct{}, 8)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = f(i)
		})
	}
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		m.t.Fatal(err)
	}
}

// found makes keys and the network's file, as operators do.
func (m *federation) found() {
	m.t.Helper()
	file := func(i int) string { return filepath.Join(m.dir, fmt.Sprint("authority", i, ".toml")) }
	witnesses := make([]netmap.Witness, len(witnessPlaces))
	m.all(len(authorityPlaces)+len(witnessPlaces), func(i int) error {
		if i < len(authorityPlaces) {
			_, err := port17("authority", "init", "--state", m.state("authority", i), "--network", "federation", "--private-addresses",
				"--url", "http://"+m.authorityAddr(i).String(), "--out", file(i))
			return err
		}
		i -= len(authorityPlaces)
		at := netip.AddrPortFrom(placeAddr(witnessPlaces[i], 0), witnessPort)
		out, err := port17("witness", "init", "--state", m.state("witness", i), "--name", fmt.Sprint("witness", i), "--url", "http://"+at.String())
		if err == nil {
			_, err = fmt.Sscanf(string(out), "[[witness]]\nurl = %q\nkey = %q", &witnesses[i].URL, &witnesses[i].Key)
		}
		return err
	})
	m.file = filepath.Join(m.dir, "network.toml")
	args := []string{"authority", "network", "--out", m.file}
	for i := range authorityPlaces {
		args = append(args, file(i))
	}
	if _, err := port17(args...); err != nil {
		m.t.Fatal(err)
	}
	trust, err := netmap.LoadNetwork(m.file)
	if err != nil {
		m.t.Fatal(err)
	}
	trust.Witnesses, trust.WitnessThreshold = witnesses, 2
	trust.Period, trust.Validity = netmap.Duration(shortPeriod), netmap.Duration(shortValidity)
	if err := trust.Save(m.file); err != nil {
		m.t.Fatal(err)
	}
	m.trust = trust
}

// port17 runs the program to its end and returns what it prints.
func port17(args ...string) ([]byte, error) {
	out, err := exec.Command(bin("port17"), args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("port17 %s: %w: %s", args[0], err, exit.Stderr)
	}
	return out, err
}

func (m *federation) authorityAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(placeAddr(authorityPlaces[i], 0), authorityPort)
}

func (m *federation) startAuthority(i int) *program {
	m.t.Helper()
	at := m.authorityAddr(i)
	p, err := m.start(at.Addr(), "authority", "run", "--state", m.state("authority", i), "--network", m.file, "--listen", at.String())
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

// addNode starts a node of a place. Two nodes have the same owner, in different
// halves; every third is an exit.
func (m *federation) addNode(place, number int) error {
	i := place*nodesOfPlace + number
	name, owner := fmt.Sprintf("node-%d-%d", place, number), fmt.Sprint("owner", i%(nodesOfPlace*len(places)/2))
	policy := "none"
	if i%3 == 0 {
		policy = "accept 10.0.0.0/8:*"
	}
	p, err := m.start(placeAddr(place, 0), "node", "--network", m.file, "--state", m.state(name, 0),
		"--listen", netip.AddrPortFrom(placeAddr(place, number), linkPort).String(), "--name", name, "--owner", owner,
		"--country", countryOf(place, number), "--asn", fmt.Sprint(64500+place), "--exit-policy="+policy, "--drain", "0s",
		"--metrics", metricsAddr(number))
	if err != nil {
		return err
	}
	id, err := netmap.ParseNodeID(p.ready["id"])
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes = append(m.nodes, &member{p, id, name, place, metricsAddr(number)})
	return nil
}

// countryOf returns a code of the node's own, so that a route can avoid it.
func countryOf(place, number int) string {
	return string([]byte{'A' + byte(place), 'Q' + byte(number)})
}

// metricsAddr is on the loopback device of the node's host.
func metricsAddr(number int) string { return fmt.Sprint("127.0.0.1:", 9117+number) }

// node returns the one with the identity.
func (m *federation) node(id netmap.NodeID) *member {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// part cuts all links between the halves, or restores them. The client is in the
// first one.
func (m *federation) part(cut bool) {
	change := m.wan.Restore
	if cut {
		change = m.wan.Cut
	}
	half := len(places) / 2
	for i := half; i < len(places); i++ {
		change(hereHost, placeAddr(i, 0))
		for k := range half {
			change(placeAddr(i, 0), placeAddr(k, 0))
		}
	}
}
