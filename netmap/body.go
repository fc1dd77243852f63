package netmap

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"safing/internal/canonical"
)

// Bounds of a map's body.
const (
	// MaxBody is the greatest length of a body, in bytes. Descriptors that have
	// not more than that together, as they were signed, fit into one.
	MaxBody      = 32 << 20
	maxNotices   = 4096
	maxPolicy    = 16 << 10 // bytes, as tinker/policy has it
	maxBodyItems = 1 << 17  // of one list of a body
)

// A Notice is a statement of an authority as a map has it.
type Notice struct {
	Signed []byte // as [Network.OpenStatement] reads it
	// Appeal is the node's answer, if the statement is about one that has
	// answered.
	Appeal string
}

// bodyWire is a map's body, one list for each property of the nodes.
type bodyWire struct {
	IDs       []byte             `cbor:"1,keyasint"` // 32 bytes each
	Names     []string           `cbor:"2,keyasint"`
	Addresses [][][]byte         `cbor:"3,keyasint"`
	Entrances [][]packedEntrance `cbor:"4,keyasint"`
	Owners    table[ownerWire]   `cbor:"5,keyasint"`
	Groups    table[string]      `cbor:"6,keyasint"`
	Countries table[string]      `cbor:"7,keyasint"`
	ASNs      []uint32           `cbor:"8,keyasint"`
	Exits     table[[]string]    `cbor:"9,keyasint"`
	Versions  table[string]      `cbor:"10,keyasint"`
	Contacts  table[string]      `cbor:"11,keyasint"`
	Mixing    table[[2]uint16]   `cbor:"12,keyasint"` // greatest delay in ms, cells of padding a second
	Flags     []byte             `cbor:"13,keyasint"`
	Loads     []byte             `cbor:"14,keyasint"` // tenths
	Measured  []byte             `cbor:"15,keyasint"` // on rateScale
	Links     linksWire          `cbor:"16,keyasint"`
	Keys      []byte             `cbor:"17,keyasint"` // SHA-256 of each shard
	Notices   []noticeWire       `cbor:"18,keyasint"`
	Policy    []byte             `cbor:"19,keyasint"`
}

type packedEntrance struct {
	_        struct{} `cbor:",toarray"`
	Wrapping Wrapping
	Addr     []byte
	Host     string
}

type noticeWire struct {
	_      struct{} `cbor:",toarray"`
	Signed []byte
	Appeal string
}

// Flags of a body: those of [Flags], and from the top those of the descriptor.
const (
	knownFlags = FlagTrusted | FlagBadExit
	flagClosed = 1 << 7
)

// Header returns the header of a map with the body that Encode has returned.
func (m *Map) Header(body []byte) Header {
	return Header{Network: m.Network, Sequence: m.Sequence, ValidAfter: m.ValidAfter, ValidUntil: m.ValidUntil, Body: sha256.Sum256(body)}
}

// Encode returns the body that the log names, and the key shards that the body
// names. The same map always gives the same bytes. A map that was read has no
// shards to give, and the body from which it was read. The error wraps
// [ErrTooLarge] when they exceed MaxBody.
func (m *Map) Encode() (body []byte, shards [][]byte, err error) {
	if len(m.Nodes) > maxNodes || len(m.Notices) > maxNotices || len(m.Policy) > maxPolicy {
		return nil, nil, fmt.Errorf("encode map: %w: %d nodes, %d statements and a policy of %d bytes", ErrTooLarge, len(m.Nodes), len(m.Notices), len(m.Policy))
	}
	hashes := m.shards
	if hashes == nil {
		if shards, err = encodeShards(m.Nodes); err != nil {
			return nil, nil, err
		}
		for _, s := range shards {
			hashes = append(hashes, sha256.Sum256(s))
		}
	}
	if body, err = canonical.Encode(m.body(hashes)); err != nil {
		return nil, nil, fmt.Errorf("encode map: %w", err)
	}
	if len(body) > MaxBody {
		return nil, nil, fmt.Errorf("encode map: %w: its body has %d bytes, at most %d are allowed", ErrTooLarge, len(body), MaxBody)
	}
	return body, shards, nil
}

func (m *Map) body(hashes [][sha256.Size]byte) *bodyWire {
	text := strings.Compare
	w := &bodyWire{
		IDs: []byte{}, Names: []string{}, Addresses: [][][]byte{}, Entrances: [][]packedEntrance{}, ASNs: []uint32{},
		Flags: []byte{}, Loads: []byte{}, Measured: []byte{}, Keys: []byte{}, Notices: []noticeWire{}, Policy: append([]byte{}, m.Policy...),
		Owners: newTable(m.Nodes, func(n *Node) ownerWire {
			return ownerWire{Name: n.Owner, Key: append([]byte{}, bytesOrNone(n.OwnerKey[:])...)}
		}, compareOwners),
		Groups:    newTable(m.Nodes, func(n *Node) string { return n.Group }, text),
		Countries: newTable(m.Nodes, func(n *Node) string { return n.Country }, text),
		Exits:     newTable(m.Nodes, func(n *Node) []string { return append([]string{}, n.Exit.Rules()...) }, slices.Compare[[]string]),
		Versions:  newTable(m.Nodes, func(n *Node) string { return n.Version }, text),
		Contacts:  newTable(m.Nodes, func(n *Node) string { return n.Contact }, text),
		Mixing: newTable(m.Nodes, func(n *Node) [2]uint16 {
			return [2]uint16{uint16(n.MaxDelay / time.Millisecond), uint16(n.MaxPadding)}
		}, compareMixing),
		Links: m.packLinks(),
	}
	rates := rateScale()
	for i := range m.Nodes {
		w.add(&m.Nodes[i], rates)
	}
	for _, h := range hashes {
		w.Keys = append(w.Keys, h[:]...)
	}
	for _, s := range m.Notices {
		w.Notices = append(w.Notices, noticeWire{Signed: append([]byte{}, s.Signed...), Appeal: s.Appeal})
	}
	slices.SortStableFunc(w.Notices, func(a, b noticeWire) int { return bytes.Compare(a.Signed, b.Signed) })
	w.Notices = slices.CompactFunc(w.Notices, func(a, b noticeWire) bool { return bytes.Equal(a.Signed, b.Signed) })
	return w
}

func compareMixing(a, b [2]uint16) int {
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
}

// add writes down what of the node is in no table.
func (w *bodyWire) add(n *Node, rates *scale) {
	w.IDs = append(w.IDs, n.ID[:]...)
	w.Names = append(w.Names, n.Name)
	addresses := make([][]byte, 0, len(n.Addresses))
	for _, a := range n.Addresses {
		b, _ := a.MarshalBinary() // never fails
		addresses = append(addresses, b)
	}
	w.Addresses = append(w.Addresses, addresses)
	entrances := make([]packedEntrance, 0, len(n.Entrances))
	for _, e := range n.Entrances {
		b, _ := e.Addr.MarshalBinary() // never fails
		entrances = append(entrances, packedEntrance{Wrapping: e.Wrapping, Addr: b, Host: e.Host})
	}
	w.Entrances = append(w.Entrances, entrances)
	w.ASNs = append(w.ASNs, n.ASN)
	flags := byte(n.Flags & knownFlags)
	if n.Closed {
		flags |= flagClosed
	}
	w.Flags = append(w.Flags, flags)
	w.Loads = append(w.Loads, byte(n.Load/10))
	w.Measured = append(w.Measured, rates.code(n.Measured))
}

// errLists means that a body's lists do not fit together.
var errLists = errors.New("its lists are not of the same nodes or links")
