package netmap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// refSize is how many bytes of an identity stand for it in a link. Where nodes
// share them, Ranks tells them apart.
const refSize = 4

// linksWire are the links of all nodes, each at the end whose identity is less.
type linksWire struct {
	_       struct{} `cbor:",toarray"`
	Counts  []uint16 // of links that stand at each node
	Refs    []byte   // the other end of each: the first bytes of its identity
	RTTs    []byte   // of each, on rttScale
	Crossed []byte   // what each crosses, as appendCrossed writes it
	// Ranks is for the links whose other end shares its first bytes with nodes
	// before it: pairs of the link's number and how many those are.
	Ranks []uint32
}

// What of a link's ends is among what it crosses, and then is not written out.
const (
	crossedTraced = 1 << (14 - iota)
	crossedASNOfA
	crossedASNOfB
	crossedCountryOfA
	crossedCountryOfB

	crossedCount = 1<<5 - 1 // bits of the numbers of systems and of countries
)

func (m *Map) packLinks() linksWire {
	w := linksWire{Counts: []uint16{}, Refs: []byte{}, RTTs: []byte{}, Crossed: []byte{}, Ranks: []uint32{}}
	rtts := rttScale()
	ranks := m.ranks()
	for i := range m.Nodes {
		to := slices.DeleteFunc(slices.Clone(m.Edges(i)), func(e Edge) bool { return e.To < i })
		slices.SortFunc(to, func(a, b Edge) int { return a.To - b.To })
		w.Counts = append(w.Counts, uint16(len(to)))
		for _, e := range to {
			if rank := ranks[e.To]; rank > 0 {
				w.Ranks = append(w.Ranks, uint32(len(w.RTTs)), uint32(rank))
			}
			w.Refs = append(w.Refs, m.Nodes[e.To].ID[:refSize]...)
			w.RTTs = append(w.RTTs, rtts.code(uint64(e.RTT)))
			w.Crossed = appendCrossed(w.Crossed, e.Crossed, &m.Nodes[i], &m.Nodes[e.To])
		}
	}
	return w
}

// ranks returns how many nodes before each share its first bytes.
func (m *Map) ranks() []int {
	ranks := make([]int, len(m.Nodes))
	for i := 1; i < len(ranks); i++ {
		if bytes.Equal(m.Nodes[i].ID[:refSize], m.Nodes[i-1].ID[:refSize]) {
			ranks[i] = ranks[i-1] + 1
		}
	}
	return ranks
}

// appendCrossed writes two bytes: whether the path was traced, whether the
// systems and countries of its ends are on it, and the numbers of the others.
// Those follow: systems as uvarints of how far each is above the one before,
// and countries as two letters each.
func appendCrossed(b []byte, c *Crossed, from, to *Node) []byte {
	var bits uint16
	if c.Traced {
		bits |= crossedTraced
	}
	at := len(b)
	b = append(b, 0, 0)
	last := uint32(0)
	for _, asn := range c.ASNs {
		switch asn {
		case from.ASN:
			bits |= crossedASNOfA
		case to.ASN:
			bits |= crossedASNOfB
		default:
			b = binary.AppendUvarint(b, uint64(asn-last))
			last = asn
			bits += crossedCount + 1
		}
	}
	for _, country := range c.Countries {
		switch country {
		case from.Country:
			bits |= crossedCountryOfA
		case to.Country:
			bits |= crossedCountryOfB
		default:
			b = append(b, country...)
			bits++
		}
	}
	binary.BigEndian.PutUint16(b[at:], bits)
	return b
}

var errCrossed = errors.New("what a link crosses can't be read")

// cutCrossed reads what appendCrossed has written.
func cutCrossed(b []byte, from, to *Node) (c Crossed, rest []byte, err error) {
	if len(b) < 2 {
		return c, nil, errCrossed
	}
	bits, b := binary.BigEndian.Uint16(b), b[2:]
	asns, countries := int(bits>>5&crossedCount), int(bits&crossedCount)
	c = Crossed{ASNs: make([]uint32, 0, asns+2), Countries: make([]string, 0, countries+2), Traced: bits&crossedTraced != 0}
	if bits&crossedASNOfA != 0 {
		c.ASNs = append(c.ASNs, from.ASN)
	}
	if bits&crossedASNOfB != 0 {
		c.ASNs = append(c.ASNs, to.ASN)
	}
	last := uint64(0)
	for range asns {
		step, n := binary.Uvarint(b)
		if n <= 0 || step > 1<<32-1-last {
			return c, nil, errCrossed
		}
		last += step
		c.ASNs, b = append(c.ASNs, uint32(last)), b[n:]
	}
	if bits&crossedCountryOfA != 0 {
		c.Countries = append(c.Countries, from.Country)
	}
	if bits&crossedCountryOfB != 0 {
		c.Countries = append(c.Countries, to.Country)
	}
	if len(b) < 2*countries {
		return c, nil, errCrossed
	}
	for i := range countries {
		c.Countries = append(c.Countries, string(b[2*i:2*i+2]))
	}
	slices.Sort(c.ASNs)
	slices.Sort(c.Countries)
	return c, b[2*countries:], c.validate(2 * maxCrossed)
}

// unpackLinks finds the nodes that the links lead to.
func (m *Map) unpackLinks(w *linksWire) ([]pair, error) {
	if len(w.Counts) != len(m.Nodes) || len(w.Refs) != refSize*len(w.RTTs) || len(w.Ranks)%2 != 0 {
		return nil, errLists
	}
	pairs := make([]pair, 0, len(w.RTTs))
	shared := make(map[string]*Crossed)
	rtts := rttScale()
	crossed, ranks := w.Crossed, w.Ranks
	for i, count := range w.Counts {
		for range count {
			at := len(pairs)
			if at == len(w.RTTs) {
				return nil, errLists
			}
			rank := 0
			if len(ranks) > 0 && int(ranks[0]) == at {
				rank, ranks = int(min(ranks[1], maxNodes)), ranks[2:]
			}
			to, err := m.deref(w.Refs[refSize*at:refSize*at+refSize], rank)
			if err != nil {
				return nil, err
			}
			if to <= i || at > 0 && pairs[at-1].a == i && pairs[at-1].b >= to {
				return nil, fmt.Errorf("the links of node %s are not in order", m.Nodes[i].ID.Short())
			}
			c, rest, err := cutCrossed(crossed, &m.Nodes[i], &m.Nodes[to])
			if err != nil {
				return nil, err
			}
			crossed = rest
			pairs = append(pairs, pair{a: i, b: to, rtt: time.Duration(rtts[w.RTTs[at]]), crossed: share(shared, c)})
		}
	}
	if len(pairs) != len(w.RTTs) || len(crossed) > 0 || len(ranks) > 0 {
		return nil, errLists
	}
	return pairs, nil
}

// deref returns which node begins with the bytes and has as many before it that
// do.
func (m *Map) deref(ref []byte, rank int) (int, error) {
	first, _ := slices.BinarySearchFunc(m.Nodes, ref, func(n Node, ref []byte) int { return bytes.Compare(n.ID[:refSize], ref) })
	if to := first + rank; to < len(m.Nodes) && bytes.Equal(m.Nodes[to].ID[:refSize], ref) {
		return to, nil
	}
	return 0, fmt.Errorf("a link leads to %x, which is no node", ref)
}

// share returns one value for all that are equal: of many links between the
// same networks each crosses the same.
func share(known map[string]*Crossed, c Crossed) *Crossed {
	if c.isZero() {
		return nil
	}
	key := make([]byte, 0, 64)
	for _, asn := range c.ASNs {
		key = binary.BigEndian.AppendUint32(key, asn)
	}
	key = append(key, 0, 0, 0, 0)
	for _, country := range c.Countries {
		key = append(key, country...)
	}
	if c.Traced {
		key = append(key, '+')
	}
	if old, ok := known[string(key)]; ok {
		return old
	}
	known[string(key)] = &c
	return &c
}
