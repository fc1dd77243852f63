package mesh

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"time"

	"safing/netmap"
)

// A ranking is a list of nodes that is put in order as far as it is read: a
// heap of the rest, and those that were taken from it.
type ranking struct {
	rest  []ranked
	taken []ranked
}

// A ranked is a node by its index; the one with the least key comes first.
type ranked struct {
	key  uint64
	node int32
}

func newRanking(all []ranked) *ranking {
	r := &ranking{rest: all}
	for i := len(all)/2 - 1; i >= 0; i-- {
		r.sink(i)
	}
	return r
}

// at returns the node in the place, if there are that many.
func (r *ranking) at(place int) (ranked, bool) {
	for len(r.taken) <= place {
		v, ok := r.pop()
		if !ok {
			return ranked{}, false
		}
		r.taken = append(r.taken, v)
	}
	return r.taken[place], true
}

func (r *ranking) pop() (ranked, bool) {
	if len(r.rest) == 0 {
		return ranked{}, false
	}
	v, last := r.rest[0], len(r.rest)-1
	r.rest[0] = r.rest[last]
	r.rest = r.rest[:last]
	r.sink(0)
	return v, true
}

func (r *ranking) push(v ranked) {
	r.rest = append(r.rest, v)
	for i := len(r.rest) - 1; i > 0; {
		parent := (i - 1) / 2
		if !r.rest[i].before(r.rest[parent]) {
			return
		}
		r.rest[i], r.rest[parent] = r.rest[parent], r.rest[i]
		i = parent
	}
}

func (r *ranking) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(r.rest) {
			return
		}
		if child+1 < len(r.rest) && r.rest[child+1].before(r.rest[child]) {
			child++
		}
		if !r.rest[child].before(r.rest[i]) {
			return
		}
		r.rest[i], r.rest[child] = r.rest[child], r.rest[i]
		i = child
	}
}

func (a ranked) before(b ranked) bool { return a.key < b.key || a.key == b.key && a.node < b.node }

// week is for how long two nodes mean the same to each other. Whoever makes
// identities until one suits has to do so again, and for each node anew, as its
// week begins at another time.
const week = 7 * 24 * 60 * 60 // seconds

// pair returns two numbers that belong to a pair of nodes at a time, the same
// from both ends.
func pair(a, b netmap.NodeID, at time.Time) (random, fast uint64) {
	if bytes.Compare(a[:], b[:]) > 0 {
		a, b = b, a
	}
	begin := (binary.BigEndian.Uint64(a[:]) ^ binary.BigEndian.Uint64(b[:])) % week
	var text [8 + 32 + 32]byte
	binary.BigEndian.PutUint64(text[:], (uint64(max(at.Unix(), 0))+begin)/week)
	copy(text[8:], a[:])
	copy(text[8+32:], b[:])
	sum := sha256.Sum256(text[:])
	return binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])
}

// weighted returns the key of a draw in which one of twice the weight comes
// first twice as often (Efraimidis and Spirakis, Weighted Random Sampling with
// a Reservoir, 2006).
func weighted(random uint64, weight float64) uint64 {
	u := (float64(random>>11) + 0.5) / (1 << 53) // between 0 and 1
	return math.Float64bits(-math.Log(u) / weight)
}

// First says whether a is the one that makes the link at once when a and b both
// want one. The other waits a moment, as it may not be wanted by a.
func First(a, b netmap.NodeID) bool { return bytes.Compare(a[:], b[:]) < 0 }
