package netmaptest

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"safing/netmap"
)

const (
	owners     = 400
	countries  = 60
	systems    = 300 // autonomous ones with nodes
	transits   = 12  // that carry between others
	wanted     = 8   // links that a node makes; as many come from others
	near       = 5   // of those to the nearest of
	sample     = 64
	validity   = 3 * time.Hour
	tracedOf10 = 8
)

// began is when the first map of a World is valid.
var began = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// World returns a map of as many nodes: with 16 links each, of 400 owners in 60
// countries, and exit policies that are presets. They have no keys.
func World(seed uint64, nodes int) *netmap.Map {
	w := newWorld(seed)
	all := make([]*netmap.Descriptor, nodes)
	for i := range all {
		all[i] = w.node(i)
	}
	for i := range all {
		w.link(all, i)
	}
	return finish(1, began, w.measure(all))
}

// finish sorts the nodes' links, as nodes do, and makes the map.
func finish(sequence uint64, at time.Time, nodes []netmap.Node) *netmap.Map {
	for _, n := range nodes {
		slices.SortFunc(n.Links, func(a, b netmap.Link) int { return bytes.Compare(a.To[:], b.To[:]) })
	}
	m, err := netmap.New("test", sequence, at, at.Add(validity), nodes)
	if err != nil {
		panic("netmaptest: " + err.Error()) // the names differ, and so do the identities
	}
	return m
}

// world is where things are.
type world struct {
	*rand.Rand
	places   [countries][2]float64 // on a plane of 20,000 km
	names    [countries]string
	systemAt [systems]int // country of each
	policies []netmap.ExitPolicy
	keys     [owners]ed25519.PrivateKey // of most owners
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 17))}
	for i := range w.places {
		w.places[i] = [2]float64{20000 * w.Float64(), 10000 * w.Float64()}
		w.names[i] = string([]byte{byte('A' + i%26), byte('A' + i/26*7%26)})
	}
	for i := range w.systemAt {
		w.systemAt[i] = w.zipf(countries)
	}
	for _, p := range netmap.ExitPresets() {
		policy, err := netmap.ParseExitPolicy([]string{p.Name})
		if err != nil {
			panic("netmaptest: " + err.Error()) // the presets are netmap's own
		}
		w.policies = append(w.policies, policy)
	}
	for i := range w.keys {
		if i%3 != 0 {
			w.keys[i] = Identity(fmt.Sprint("owner ", i))
		}
	}
	return w
}

// zipf draws a number, small ones more often.
func (w *world) zipf(n int) int {
	return int(math.Pow(float64(n), w.Float64())) % n
}

// Identity returns the key of the node, or owner, with the name.
func Identity(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("netmaptest " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func (w *world) node(i int) *netmap.Descriptor {
	owner := w.zipf(owners)
	system := (owner*7 + w.zipf(12)) % systems // owners stay with few networks
	name := fmt.Sprintf("node-%d", i)
	d := &netmap.Descriptor{
		ID: netmap.NodeID(Identity(name).Public().(ed25519.PublicKey)), Name: name,
		Owner: fmt.Sprintf("owner-%d", owner), Contact: fmt.Sprintf("mailto:port17@owner-%d.example", owner),
		Group:   fmt.Sprintf("owner-%d-site-%d", owner, w.zipf(8)),
		Country: w.names[w.systemAt[system]], ASN: systemNumber(system), Version: fmt.Sprint("port17/1.", w.zipf(4)),
		Exit: w.policies[w.zipf(len(w.policies))], Capacity: uint64(1e6 * math.Exp(3*w.Float64()*w.Float64()*2)),
		Load: 10 * w.IntN(11), MaxDelay: time.Second, MaxPadding: 100, Published: began,
	}
	ip := netip.AddrFrom4([4]byte{byte(11 + system%100), byte(system), byte(w.IntN(256)), byte(w.IntN(256))})
	d.Addresses = []netip.AddrPort{netip.AddrPortFrom(ip, 1717)}
	d.Entrances = []netmap.Entrance{
		{Wrapping: netmap.QUIC, Addr: netip.AddrPortFrom(ip, 443)}, {Wrapping: netmap.TLS, Addr: netip.AddrPortFrom(ip, 443)},
	}
	if w.IntN(2) == 0 {
		six := [16]byte{0x26, byte(system >> 8), byte(system)}
		binary.BigEndian.PutUint64(six[8:], w.Uint64())
		d.Addresses = append(d.Addresses, netip.AddrPortFrom(netip.AddrFrom16(six), 1717))
	}
	if key := w.keys[owner]; key != nil {
		copy(d.OwnerKey[:], key.Public().(ed25519.PublicKey))
		d.OwnerProof = netmap.SignOwner(key, d.ID, d.Group)
	}
	return d
}

func systemNumber(system int) uint32 { return uint32(1000 + system*system*2) }

// link makes the node's links, to some of the nearest and to any.
func (w *world) link(all []*netmap.Descriptor, i int) {
	if len(all) < 2 {
		return
	}
	candidates := make([]int, min(sample, len(all)-1))
	for k := range candidates {
		candidates[k] = (i + 1 + w.IntN(len(all)-1)) % len(all)
	}
	slices.SortFunc(candidates, func(a, b int) int {
		return cmp.Compare(w.distance(all[i], all[a]), w.distance(all[i], all[b]))
	})
	for k := range wanted {
		to := candidates[min(k, len(candidates)-1)]
		if k >= near {
			to = (i + 1 + w.IntN(len(all)-1)) % len(all)
		}
		w.join(all[i], all[to])
	}
}

// join links two nodes, unless they are.
func (w *world) join(a, b *netmap.Descriptor) {
	if a == b || slices.ContainsFunc(a.Links, func(l netmap.Link) bool { return l.To == b.ID }) {
		return
	}
	rtt := time.Duration((0.4 + w.distance(a, b)/65 + 3*w.ExpFloat64()) * float64(time.Millisecond)).Truncate(time.Microsecond)
	back := rtt + time.Duration(w.IntN(2000))*time.Microsecond
	crossed := w.path(a, b)
	a.Links = append(a.Links, netmap.Link{To: b.ID, RTT: rtt, Crossed: crossed})
	if w.IntN(10) == 0 { // the way back is another
		crossed = w.path(b, a)
	}
	b.Links = append(b.Links, netmap.Link{To: a.ID, RTT: back, Crossed: crossed})
}

// distance is in kilometres.
func (w *world) distance(a, b *netmap.Descriptor) float64 {
	p, q := w.places[slices.Index(w.names[:], a.Country)], w.places[slices.Index(w.names[:], b.Country)]
	return math.Hypot(p[0]-q[0], p[1]-q[1])
}

// path returns what lies between two nodes: up to two carriers, which depend on
// the networks at its ends.
func (w *world) path(a, b *netmap.Descriptor) netmap.Crossed {
	if w.IntN(10) >= tracedOf10 {
		return netmap.NewCrossed([]uint32{a.ASN, b.ASN}, []string{a.Country, b.Country}, false)
	}
	asns, through := []uint32{a.ASN}, []string{a.Country}
	if a.ASN != b.ASN {
		first, last := a.ASN%transits, b.ASN%transits
		asns = append(asns, 174+first, 174+last, b.ASN)
		through = append(through, w.names[int(first+last)%(transits/2)], b.Country)
	}
	return netmap.NewCrossed(asns, through, true)
}

func (w *world) measure(all []*netmap.Descriptor) []netmap.Node {
	nodes := make([]netmap.Node, len(all))
	for i, d := range all {
		nodes[i] = netmap.Node{Descriptor: d, Measured: d.Capacity * uint64(50+w.IntN(50)) / 100}
		if w.IntN(5) == 0 {
			nodes[i].Flags |= netmap.FlagTrusted
		}
		if w.IntN(100) == 0 {
			nodes[i].Flags |= netmap.FlagBadExit
		}
	}
	return nodes
}
