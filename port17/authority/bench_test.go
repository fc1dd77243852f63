package authority

import (
	"encoding/binary"
	"slices"
	"testing"

	"safing/netmap"
)

// large returns the votes of three authorities on as many nodes as there may be.
func large(b *testing.B) (*tally, []*vote) {
	b.Helper()
	q, signers := assembly(b, 3, 2)
	t := &tally{quorum: q, facts: make(map[digest]facts), standing: nobody()}
	v := &vote{period: period()}
	for i := range maxNodes {
		var id netmap.NodeID
		binary.BigEndian.PutUint64(id[:], uint64(i)+1)
		d, k := someDigest("d"+id.String()), someDigest("k"+id.String())
		t.facts[d], t.facts[k] = facts{id: id, published: period()}, facts{id: id, published: period()}
		v.opinions = append(v.opinions, opinion{ID: id, Descriptors: []digest{d}, Keys: []digest{k}, Reachable: true, Capacity: 1e7})
	}
	var votes []*vote
	for _, s := range signers {
		one := *v
		one.author, one.opinions = s.KeyHash(), slices.Clone(v.opinions)
		votes = append(votes, &one)
	}
	return t, votes
}

func BenchmarkTally10000(b *testing.B) {
	t, votes := large(b)
	b.ReportAllocs()
	for b.Loop() {
		if all, err := t.members(votes); err != nil || len(all) != maxNodes {
			b.Fatal(len(all), err)
		}
	}
}

func BenchmarkVote10000(b *testing.B) {
	_, votes := large(b)
	body, err := votes[0].body()
	if err != nil {
		b.Fatal(err)
	}
	ballot, _ := cast(b, votes[0])
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseVote(ballot.voteHeader, body); err != nil {
			b.Fatal(err)
		}
	}
}
