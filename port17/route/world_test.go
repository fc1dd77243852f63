package route

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"safing/internal/geo"
	"safing/netmap"
	"safing/netmap/netmaptest"
	"safing/tinker"
)

// A world is what a random map is made from.
type world struct {
	nodes, degree        int
	owners, groups, keys int      // of which the nodes have one; 0 for none, or each its own owner
	nets, asns           int      // the same
	countries            []string // where nodes are
	crossed              int      // networks and countries that a link crosses besides its ends, at most
	trusted, bad         float64  // parts of the nodes
}

var testKeys = sync.OnceValues(func() ([]tinker.Prekey, error) {
	keys, err := tinker.NewPrekeys(tinker.PrekeyConfig{})
	if err != nil {
		return nil, err
	}
	return keys.Public(), nil
})

func policies(t testing.TB) (all []netmap.ExitPolicy) {
	t.Helper()
	for _, rules := range [][]string{{"public"}, {"web"}, {"reduced"}, {"none"}, {"accept 9.0.0.0/8:*", "accept *:22"}} {
		p, err := netmap.ParseExitPolicy(rules)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// build makes a map. Its links take as long as its geography says, and then some.
func (w world) build(t testing.TB, r *rand.Rand) *netmap.Map {
	t.Helper()
	prekeys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	exits := policies(t)
	ds := make([]*netmap.Descriptor, w.nodes)
	nodes := make([]netmap.Node, w.nodes)
	for i := range nodes {
		d := w.descriptor(r, i)
		d.Exit = exits[min(r.IntN(2*len(exits)), len(exits)-1)%len(exits)]
		ds[i] = d
		nodes[i] = netmap.Node{Descriptor: d, Keys: &netmap.Keys{ID: d.ID, Prekeys: prekeys}, Measured: 1 << (16 + r.IntN(10))}
		if r.Float64() < w.trusted {
			nodes[i].Flags |= netmap.FlagTrusted
		}
		if r.Float64() < w.bad {
			nodes[i].Flags |= netmap.FlagBadExit
		}
	}
	w.link(r, ds)
	m, err := netmap.New("test", 1, time.Now(), time.Now().Add(time.Hour), nodes)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (w world) descriptor(r *rand.Rand, i int) *netmap.Descriptor {
	d := &netmap.Descriptor{Name: fmt.Sprint("n", i), Owner: fmt.Sprint("o", i), Country: w.countries[r.IntN(len(w.countries))]}
	for k := range d.ID {
		d.ID[k] = byte(r.Uint32())
	}
	if w.owners > 0 {
		d.Owner = fmt.Sprint("o", r.IntN(w.owners))
	}
	if w.groups > 0 && r.IntN(2) == 0 {
		d.Group = fmt.Sprint("g", r.IntN(w.groups))
	}
	if w.keys > 0 && r.IntN(2) == 0 {
		d.OwnerKey[0] = byte(1 + r.IntN(w.keys))
	}
	net := i
	if w.nets > 0 {
		net = r.IntN(w.nets)
	}
	d.Addresses = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + net>>8), byte(net), byte(i >> 8), byte(i)}), 17)}
	for range r.IntN(3) * r.IntN(4) { // in a network of their own, or in one where others are
		if net = i; w.nets > 0 {
			net = r.IntN(8 * w.nets)
		}
		d.Entrances = append(d.Entrances, netmap.Entrance{Wrapping: netmap.QUIC, Addr: netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, byte(net >> 8), byte(net), 15: byte(i)}), 17)})
	}
	if w.asns > 0 {
		d.ASN = uint32(r.IntN(w.asns))
	}
	if r.IntN(2) == 0 {
		d.MaxDelay, d.MaxPadding = time.Second, 100
	}
	d.Load = 10 * r.IntN(11)
	return d
}

func (w world) link(r *rand.Rand, ds []*netmap.Descriptor) {
	linked := make(map[[2]int]bool)
	for i := range ds {
		for range (w.degree + 1) / 2 {
			j := r.IntN(len(ds))
			if i == j || linked[[2]int{i, j}] || linked[[2]int{j, i}] {
				continue
			}
			linked[[2]int{i, j}] = true
			a, _ := geo.CountryPlace(ds[i].Country)
			b, _ := geo.CountryPlace(ds[j].Country)
			rtt := time.Duration(float64(geo.RTT(a, b)) * (1 + r.Float64()))
			asns, codes := []uint32{ds[i].ASN, ds[j].ASN}, []string{ds[i].Country, ds[j].Country}
			for range r.IntN(w.crossed + 1) {
				asns = append(asns, uint32(r.IntN(w.asns+1)))
				codes = append(codes, w.countries[r.IntN(len(w.countries))])
			}
			c := netmap.NewCrossed(asns, codes, true)
			ds[i].Links = append(ds[i].Links, netmap.Link{To: ds[j].ID, RTT: rtt, Crossed: c})
			ds[j].Links = append(ds[j].Links, netmap.Link{To: ds[i].ID, RTT: rtt, Crossed: c})
		}
	}
}

// big is a map of 10,000 nodes, as it is after it was read.
func big(t testing.TB) *netmap.Map {
	t.Helper()
	return netmaptest.WithKeys(1, netmaptest.World(1, 10000), time.Now())
}
