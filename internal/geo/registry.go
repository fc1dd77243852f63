package geo

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// registryBlock is a block of IPv6 addresses that IANA gave to a registry.
type registryBlock struct {
	first    uint32 // the first 32 bits of its addresses, of which
	bits     uint8  // so many count
	registry uint8  // place in registryNames
}

// registryNames are the five regional registries; the tables count from 1.
var registryNames = [...]string{"", "AFRINIC", "APNIC", "ARIN", "LACNIC", "RIPE NCC"}

// registry names the registry that an address was allocated to by IANA. Later
// a block may have been passed on to another registry's region.
func registry(a netip.Addr) string {
	if a.Is4() {
		return registryNames[registries4[a.As4()[0]]]
	}
	if !a.Is6() {
		return ""
	}
	raw := a.As16()
	head := binary.BigEndian.Uint32(raw[:4])
	i, exact := slices.BinarySearchFunc(registries6, head, func(b registryBlock, head uint32) int { return cmp.Compare(b.first, head) })
	if !exact {
		i--
	}
	if i < 0 || (head^registries6[i].first)>>(32-registries6[i].bits) != 0 {
		return ""
	}
	return registryNames[registries6[i].registry]
}

// registryPlace is a point in the middle of those in a registry's region who
// have addresses.
func registryPlace(name string) (Place, bool) {
	switch name {
	case "AFRINIC":
		return Place{-10, 25}, true
	case "APNIC":
		return Place{27, 117}, true
	case "ARIN":
		return CountryPlace("US")
	case "LACNIC":
		return Place{-15, -55}, true
	case "RIPE NCC":
		return Place{50, 12}, true
	}
	return Place{}, false
}
