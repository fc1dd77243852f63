package sim

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"safing/netmap"
	"safing/tinker"
)

// mapValidity is for how long a map of a world is valid: longer than a
// simulation takes.
const mapValidity = 24 * time.Hour

// Map returns the map that the world's network would have, with links that its
// nodes chose and measured. To save time all nodes have the same prekey, which
// finding routes does not look at.
func (w *World) Map() (*netmap.Map, error) {
	keys, err := tinker.NewPrekeys(tinker.PrekeyConfig{Slot: mapValidity})
	if err != nil {
		return nil, fmt.Errorf("make a prekey for the nodes of a world: %w", err)
	}
	nodes, err := w.descriptors()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for i := range nodes {
		nodes[i].Keys = &netmap.Keys{ID: nodes[i].ID, Prekeys: keys.Public(), Published: now}
	}
	return netmap.New("simulation", 1, now, now.Add(mapValidity), nodes)
}

// meshWeek is in which week nodes choose their neighbours: others in each.
var meshWeek = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

// bare returns what the nodes would publish but links, in the order of Nodes.
func (w *World) bare() ([]netmap.Node, error) {
	exit, err := netmap.ParseExitPolicy([]string{"public"})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	nodes := make([]netmap.Node, len(w.Nodes))
	for i, n := range w.Nodes {
		d := &netmap.Descriptor{
			ID: w.identity(i), Name: fmt.Sprint("node", i), Owner: fmt.Sprint("owner", n.Owner),
			Country: w.Cities[n.City].Country, ASN: w.ASes[n.AS].Number,
			Addresses: []netip.AddrPort{netip.AddrPortFrom(n.Addr, 17)},
			Capacity:  n.Capacity, Published: now,
		}
		if n.Exit {
			d.Exit = exit
		}
		nodes[i] = netmap.Node{Descriptor: d, Measured: n.Capacity}
	}
	return nodes, nil
}

// descriptors returns what the nodes would publish, in the order of Nodes.
func (w *World) descriptors() ([]netmap.Node, error) {
	nodes, err := w.bare()
	if err != nil {
		return nil, err
	}
	links, err := w.links()
	if err != nil {
		return nil, err
	}
	for i, to := range links {
		for _, j := range to {
			nodes[i].Links = append(nodes[i].Links, netmap.Link{To: nodes[j].ID, RTT: w.claimed(i, j), Crossed: w.crossed(i, j)})
		}
	}
	return nodes, nil
}

// crossed is what a trace from one node to another shows.
func (w *World) crossed(i, j int) netmap.Crossed {
	var numbers []uint32
	var countries []string
	for _, as := range w.way(w.Nodes[i].AS, w.Nodes[j].AS) {
		numbers, countries = append(numbers, w.numberOf(as)), append(countries, w.countryOf(as))
	}
	countries = append(countries, w.Cities[w.Nodes[i].City].Country, w.Cities[w.Nodes[j].City].Country)
	return netmap.NewCrossed(numbers, countries, true)
}

// key is the identity key of a node; the same for the same seed.
func (w *World) key(i int) ed25519.PrivateKey {
	var seed [ed25519.SeedSize]byte
	binary.BigEndian.PutUint64(seed[:], w.Seed)
	binary.BigEndian.PutUint64(seed[8:], uint64(i))
	return ed25519.NewKeyFromSeed(seed[:])
}

func (w *World) identity(i int) netmap.NodeID {
	return netmap.NodeID(w.key(i).Public().(ed25519.PublicKey))
}
