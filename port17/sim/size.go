package sim

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"safing/netmap"
	"safing/tinker"
)

// What changes in an hour: guesses.
const (
	hourlyChurn   = 0.01 // of nodes are replaced
	hourlyLoads   = 0.30 // have another load
	hourlyRTTs    = 0.05 // of links are slower or faster by a step
	hourlyMeasure = 1. / 24
)

// keySlot is for how long clients use a prekey, so how often they fetch keys.
const keySlot = tinker.DefaultSlot

// A Size is what the map of a network costs those who keep it.
type Size struct {
	Nodes int     `json:"nodes"`
	Links float64 `json:"links"` // of a node
	// Bytes: the map's body, the same compressed for who has none, an hour's
	// difference, and all key shards.
	Body       int `json:"body"`
	Compressed int `json:"compressed"`
	Delta      int `json:"delta"`
	Keys       int `json:"keys"`
	// Used is the bytes of the shards with the keys of all nodes that a client's
	// 100 tunnels of the level normal go through, on average.
	Used int `json:"used"`
	// Daily is what a client downloads that stays for a day: differences each
	// hour, and for each slot those shards. DailyAll is the same with all keys.
	Daily    int `json:"daily"`
	DailyAll int `json:"daily_all"`
	// Milliseconds to apply the difference, to check and read the map, and to
	// check all keys.
	Expand float64 `json:"expand"`
	Decode float64 `json:"decode"`
	Check  float64 `json:"check"`
	// Memory is bytes: of the map with keys, and of a finder in addition.
	Memory       int `json:"memory"`
	FinderMemory int `json:"finder_memory"`
	// Milliseconds to prepare a finder, and microseconds to find the first and
	// further routes of the level normal.
	Prepare float64 `json:"prepare"`
	First   float64 `json:"first"`
	Further float64 `json:"further"`

	shards []int // bytes of each
}

// published is a world's map as the network publishes it at one time.
func (w *World) published(sequence uint64, from, to int, nodes []netmap.Node) (m *netmap.Map, body []byte, shards [][]byte, err error) {
	now := time.Now()
	if m, err = netmap.New("simulation", sequence, now, now.Add(mapValidity), nodes[from:to]); err != nil {
		return nil, nil, nil, err
	}
	body, shards, err = m.Encode()
	return m, body, shards, err
}

// size measures the map of so many nodes.
func size(count int, seed uint64) (Size, *World, *netmap.Map, error) {
	spare := max(1, int(hourlyChurn*float64(count)))
	w, err := New(Config{Nodes: count + spare, Seed: seed})
	if err != nil {
		return Size{}, nil, nil, err
	}
	nodes, err := w.descriptors()
	if err != nil {
		return Size{}, nil, nil, err
	}
	if err := w.sign(nodes); err != nil {
		return Size{}, nil, nil, err
	}
	_, old, _, err := w.published(1, 0, count, nodes)
	if err != nil {
		return Size{}, nil, nil, err
	}
	w.anHourLater(nodes, rand.New(rand.NewPCG(seed, 60)))
	made, body, shards, err := w.published(2, spare, count+spare, nodes)
	if err != nil {
		return Size{}, nil, nil, err
	}
	s := Size{Nodes: count, Body: len(body)}
	for _, b := range shards {
		s.Keys += len(b)
		s.shards = append(s.shards, len(b))
	}
	compressed, err := netmap.Compress(body, nil)
	if err != nil {
		return s, nil, nil, err
	}
	delta, err := netmap.Compress(body, old)
	if err != nil {
		return s, nil, nil, err
	}
	s.Compressed, s.Delta = len(compressed), len(delta)
	s.DailyAll = 24*s.Delta + int(24*time.Hour/keySlot)*s.Keys
	m, err := s.read(made.Header(body), delta, old, shards)
	if err != nil {
		return s, nil, nil, err
	}
	runtime.KeepAlive(nodes) // else memory that becomes free would count
	runtime.KeepAlive(made)
	runtime.KeepAlive(shards)
	for i := range m.Nodes {
		s.Links += float64(len(m.Edges(i))) / float64(count)
	}
	return s, w, m, nil
}

// read does what a client does with a new map, several times: the fastest one is
// the least disturbed.
func (s *Size) read(h netmap.Header, delta, old []byte, shards [][]byte) (m *netmap.Map, err error) {
	before := memory()
	for try := range readTries {
		began := time.Now()
		body, err := netmap.Expand(delta, old)
		if err != nil {
			return nil, err
		}
		expanded := time.Now()
		if m, err = netmap.DecodeMap(h, body); err != nil {
			return nil, err
		}
		decoded := time.Now()
		for i, b := range shards {
			if m, err = m.AddKeys(i, slices.Clone(b)); err != nil { // the map keeps it
				return nil, err
			}
		}
		checked := time.Now()
		for _, t := range []struct {
			least *float64
			took  time.Duration
		}{{&s.Expand, expanded.Sub(began)}, {&s.Decode, decoded.Sub(expanded)}, {&s.Check, checked.Sub(decoded)}} {
			if try == 0 || ms(t.took) < *t.least {
				*t.least = ms(t.took)
			}
		}
	}
	s.Memory = memory() - before
	runtime.KeepAlive(old)
	return m, nil
}

const readTries = 5

// memory is how many bytes are in use.
func memory() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// sign gives all nodes keys of their own.
func (w *World) sign(nodes []netmap.Node) error {
	for i := range nodes {
		keys, err := tinker.NewPrekeys(tinker.PrekeyConfig{Identity: nodes[i].ID, Binding: nodes[i].Binding()})
		if err != nil {
			return fmt.Errorf("make keys of node %d: %w", i, err)
		}
		k := &netmap.Keys{ID: nodes[i].ID, Binding: nodes[i].Binding(), Prekeys: keys.Public(), Published: time.Now()}
		keys.Close()
		signed, err := k.Sign(w.key(i))
		if err != nil {
			return fmt.Errorf("sign keys of node %d: %w", i, err)
		}
		if nodes[i].Keys, err = netmap.OpenKeys(signed); err != nil {
			return fmt.Errorf("sign keys of node %d: %w", i, err)
		}
	}
	return nil
}

// anHourLater changes what nodes publish; who comes and goes is for the caller.
func (w *World) anHourLater(nodes []netmap.Node, r *rand.Rand) {
	at := make(map[netmap.NodeID]int, len(nodes))
	for i := range nodes {
		at[nodes[i].ID] = i
		if r.Float64() < hourlyLoads {
			nodes[i].Load = min(100, max(0, nodes[i].Load+10-20*r.IntN(2)))
		}
		if r.Float64() < hourlyMeasure {
			nodes[i].Measured = nodes[i].Measured * 108 / 100
		}
	}
	for i := range nodes {
		nodes[i].Links = slices.Clone(nodes[i].Links)
		for k := range nodes[i].Links {
			l := &nodes[i].Links[k]
			if r.Float64() < hourlyRTTs/2 { // the worse of both ends counts
				l.RTT = l.RTT * 105 / 100
			}
		}
	}
}
