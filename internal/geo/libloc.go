package geo

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// libloc reads IPFire's location database
// (https://git.ipfire.org/?p=location/libloc.git, src/libloc/format.h), whose
// numbers are big endian:
//
//	 0        7         8          16   28    36       44       52    60
//	+--------+---------+----------+----+-----+--------+--------+-----+ - - -
//	| LOCDBXX| version | created  | …  | ASes|networks| nodes  |  …  |
//	+--------+---------+----------+----+-----+--------+--------+-----+ - - -
//
// ASes, networks and nodes are an offset and a length in bytes. A node is the
// numbers of the next nodes for a 0 and a 1 in the address, 0 for none, and that
// of a network, all ones for none. A network is two letters of a country, two
// bytes unused, its AS and four bytes of no interest. The deepest network on the
// way counts. IPv4 addresses are below ::ffff:0:0/96.
//
// The database is signed; whoever fetches it checks that.
const (
	liblocMagic   = "LOCDBXX"
	liblocVersion = 1
	liblocHeader  = 60 // bytes of which we read something
	liblocRecord  = 12 // bytes of a node, and of a network
	noNetwork     = 1<<32 - 1
)

var errLibloc = errors.New("the database is damaged: fetch it again")

// parseLibloc makes ranges of the tree, which are smaller and faster.
func parseLibloc(b []byte) (*ranges, error) {
	if len(b) < liblocHeader {
		return nil, errLibloc
	}
	if v := b[len(liblocMagic)]; v != liblocVersion {
		return nil, fmt.Errorf("it is of version %d, and only %d can be read", v, liblocVersion)
	}
	w := liblocWalk{networks: section(b, 36), nodes: section(b, 44), ranges: new(ranges)}
	if created := binary.BigEndian.Uint64(b[8:]); created > 0 && created < 1<<40 {
		w.ranges.generated = time.Unix(int64(created), 0).UTC()
	}
	w.left = len(w.nodes) / liblocRecord
	if err := w.walk(0, [16]byte{}, 0, entry{}); err != nil {
		return nil, err
	}
	if len(w.ranges.v4)+len(w.ranges.v6) == 0 {
		return nil, errors.New("it has no network")
	}
	return w.ranges, nil
}

// section returns what an offset and a length at a place of the header name;
// nothing if the file is shorter.
func section(b []byte, at int) []byte {
	begin := uint64(binary.BigEndian.Uint32(b[at:]))
	end := begin + uint64(binary.BigEndian.Uint32(b[at+4:]))
	if end > uint64(len(b)) {
		return nil
	}
	return b[begin:end]
}

// recordAt returns the three numbers of a node or a network.
func recordAt(section []byte, index uint32) ([liblocRecord]byte, bool) {
	at := uint64(index) * liblocRecord
	if at+liblocRecord > uint64(len(section)) {
		return [liblocRecord]byte{}, false
	}
	return [liblocRecord]byte(section[at:]), true
}

type liblocWalk struct {
	networks, nodes []byte
	left            int // nodes that may still be visited: each once
	ranges          *ranges
}

// walk goes through the addresses of a node in order. What holds for them above
// it is e.
func (w *liblocWalk) walk(index uint32, prefix [16]byte, bits int, e entry) error {
	node, ok := recordAt(w.nodes, index)
	if w.left--; !ok || w.left < 0 || bits > 128 {
		return errLibloc
	}
	if n := binary.BigEndian.Uint32(node[8:]); n != noNetwork {
		network, ok := recordAt(w.networks, n)
		if !ok {
			return errLibloc
		}
		e = entry{asn: binary.BigEndian.Uint32(network[4:])}
		if isCode(string(network[:2])) {
			e.country = [2]byte(network[:2])
		}
	}
	zero, one := binary.BigEndian.Uint32(node[:]), binary.BigEndian.Uint32(node[4:])
	if zero == 0 && one == 0 {
		return w.emit(prefix, bits, e)
	}
	if bits == 128 {
		return errLibloc
	}
	for side, next := range [2]uint32{zero, one} {
		prefix[bits/8] |= byte(side) << (7 - bits%8)
		do := w.emit
		if next != 0 {
			do = func(prefix [16]byte, bits int, e entry) error { return w.walk(next, prefix, bits, e) }
		}
		if err := do(prefix, bits+1, e); err != nil {
			return err
		}
	}
	return nil
}

// emit adds a prefix to the ranges, or lengthens the last one.
func (w *liblocWalk) emit(prefix [16]byte, bits int, e entry) error {
	if e == (entry{}) {
		return nil
	}
	last := prefix
	for i := bits; i < 128; i++ {
		last[i/8] |= 1 << (7 - i%8)
	}
	const mapped = 12 // bytes of ::ffff:0:0/96
	var err error
	if bits >= 8*mapped && prefix[10] == 0xff && prefix[11] == 0xff && [10]byte(prefix[:]) == [10]byte{} {
		first, last := binary.BigEndian.Uint32(prefix[mapped:]), binary.BigEndian.Uint32(last[mapped:])
		w.ranges.v4, err = extend(w.ranges.v4, block[uint32]{first, last, e}, cmp.Compare[uint32], func(k uint32) uint32 { return k + 1 })
	} else {
		w.ranges.v6, err = extend(w.ranges.v6, block[[16]byte]{prefix, last, e}, compareKeys, following)
	}
	return err
}

// extend is grow, which makes one range of two that touch and say the same.
func extend[K comparable](blocks []block[K], b block[K], compare func(K, K) int, next func(K) K) ([]block[K], error) {
	if n := len(blocks); n > 0 && blocks[n-1].entry == b.entry && next(blocks[n-1].last) == b.first {
		blocks[n-1].last = b.last
		return blocks, nil
	}
	if len(blocks) == maxRanges {
		return nil, fmt.Errorf("it has more than %d ranges", maxRanges)
	}
	return grow(blocks, b, compare)
}

// following is the next address.
func following(a [16]byte) [16]byte {
	low := binary.BigEndian.Uint64(a[8:]) + 1
	binary.BigEndian.PutUint64(a[8:], low)
	if low == 0 {
		binary.BigEndian.PutUint64(a[:], binary.BigEndian.Uint64(a[:])+1)
	}
	return a
}
