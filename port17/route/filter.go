package route

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"safing/netmap"
)

// A filter is what a request avoids everywhere on its route.
type filter struct {
	countries map[string]bool
	asns      []uint32 // ascending
	delay     time.Duration
	padding   int
	// key is the same for filters that are.
	key string
}

func newFilter(r *Requirements) filter {
	w := filter{asns: slices.Clone(r.AvoidASNs), delay: max(r.Delay, 0), padding: max(r.Padding, 0)}
	if len(r.AvoidCountries) == 0 && len(w.asns) == 0 && w.delay == 0 && w.padding == 0 {
		return w
	}
	codes := slices.Clone(r.AvoidCountries)
	slices.Sort(codes)
	codes = slices.Compact(codes)
	slices.Sort(w.asns)
	w.asns = slices.Compact(w.asns)
	if len(codes) > 0 {
		w.countries = make(map[string]bool, len(codes))
	}
	var key []byte
	for _, code := range codes {
		w.countries[code] = true
		key = append(append(key, code...), 0)
	}
	key = append(key, 0)
	for _, asn := range w.asns {
		key = binary.BigEndian.AppendUint32(key, asn)
	}
	key = binary.BigEndian.AppendUint64(key, uint64(w.delay))
	key = binary.BigEndian.AppendUint64(key, uint64(w.padding))
	w.key = string(key)
	return w
}

// node says whether the node may be on the route.
func (w *filter) node(n *netmap.Node) bool { return w.key == "" || w.why(n) == "" }

// why returns why the node must not be on the route; "" if it may.
func (w *filter) why(n *netmap.Node) string {
	switch {
	case w.countries[n.Country]:
		return "its country is avoided"
	case w.avoidsASN(n.ASN):
		return "its network is avoided"
	case n.MaxDelay < w.delay:
		return "it offers no delays as long"
	case n.MaxPadding < w.padding:
		return "it offers no padding as fast"
	}
	return ""
}

// link says whether the route may cross what the link crosses.
func (w *filter) link(c *netmap.Crossed) bool {
	if w.countries != nil {
		for _, code := range c.Countries {
			if w.countries[code] {
				return false
			}
		}
	}
	return len(w.asns) == 0 || !slices.ContainsFunc(c.ASNs, w.avoidsASN)
}

func (w *filter) avoidsASN(asn uint32) bool {
	_, found := slices.BinarySearchFunc(w.asns, asn, cmp.Compare[uint32])
	return found
}
