package netmap

import (
	"slices"
	"testing"
	"time"
)

// A link counts when both ends publish it, with the worse round trip and what
// the paths in both directions cross.
func TestEdges(t *testing.T) {
	ids := []NodeID{{1}, {2}, {3}, {4}}
	ms := time.Millisecond
	nodes := []Node{
		{Descriptor: &Descriptor{ID: ids[2], Links: []Link{{To: ids[0], RTT: 5 * ms}, {To: NodeID{9}, RTT: ms}, {To: ids[1]}}}},
		{Descriptor: &Descriptor{ID: ids[0], Links: []Link{
			{To: ids[1], RTT: 30 * ms, Crossed: NewCrossed([]uint32{7, 3, 0, 7}, []string{"DE", "", "AT"}, true)},
			{To: ids[2], RTT: 9 * ms, Crossed: Crossed{Traced: true}},
			{To: ids[3], RTT: ms},
			{To: ids[0]},
			{To: ids[1], RTT: ms},
		}}},
		{Descriptor: &Descriptor{ID: ids[1], Links: []Link{{To: ids[0], RTT: 20 * ms, Crossed: NewCrossed([]uint32{5, 3}, []string{"DE"}, true)}}}},
		{Descriptor: &Descriptor{ID: ids[3]}},
	}
	m, err := New("test", 1, time.Now(), time.Now().Add(time.Hour), nodes)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if at, ok := m.Index(id); !ok || at != i || m.Nodes[i].ID != id {
			t.Errorf("node %d is at %d", i, at)
		}
	}
	if _, ok := m.Index(NodeID{2, 1}); ok {
		t.Error("a node that is not there has an index")
	}
	want := [][]Edge{
		{
			{To: 2, RTT: 9 * ms, Crossed: new(Crossed)},
			{To: 1, RTT: 30 * ms, Crossed: &Crossed{ASNs: []uint32{3, 5, 7}, Countries: []string{"AT", "DE"}, Traced: true}},
		},
		{{To: 0, RTT: 30 * ms, Crossed: &Crossed{ASNs: []uint32{3, 5, 7}, Countries: []string{"AT", "DE"}, Traced: true}}},
		{{To: 0, RTT: 9 * ms, Crossed: new(Crossed)}},
		{},
	}
	for i := range want {
		if !slices.EqualFunc(m.Edges(i), want[i], func(a, b Edge) bool {
			return a.To == b.To && a.RTT == b.RTT && a.Traced == b.Traced && slices.Equal(a.ASNs, b.ASNs) && slices.Equal(a.Countries, b.Countries)
		}) {
			t.Errorf("edges of node %d: %+v", i, m.Edges(i))
		}
	}
	if m.Edges(0)[1].Crossed != m.Edges(1)[0].Crossed {
		t.Error("the two ends of a link hold what it crosses twice")
	}
}
