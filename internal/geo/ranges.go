package geo

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxRanges bounds how many ranges a file may have; the largest known have
// under a million.
const maxRanges = 4 << 20

// ranges is a text file with a line for each range of addresses, in order:
//
//	first,last,country
//	first,last,AS[,name]
//	first	last	AS	country[	name]
//
// Tor's geoip and geoip6, which Debian has as tor-geoipdb, are of the first kind,
// as are CSV files of DB-IP and ip-location-db; of the second kind is what these
// know of networks, and of the third IPtoASN's, which has tabs.
type ranges struct {
	v4        []block[uint32]
	v6        []block[[16]byte]
	generated time.Time // zero if it does not say
}

// A block is a range with what is known of it: zero for what is not.
type block[K any] struct {
	first, last K
	entry
}

type entry struct {
	asn     uint32
	country [2]byte
}

func (r *ranges) locate(a netip.Addr) (country string, asn uint32) {
	if a.Is4() {
		return find(r.v4, key4(a), cmp.Compare[uint32])
	}
	return find(r.v6, a.As16(), compareKeys)
}

func find[K any](blocks []block[K], a K, compare func(K, K) int) (country string, asn uint32) {
	i, exact := slices.BinarySearchFunc(blocks, a, func(b block[K], a K) int { return compare(b.first, a) })
	if !exact {
		i-- // the last one that begins before
	}
	if i < 0 || compare(a, blocks[i].last) > 0 {
		return "", 0
	}
	b := &blocks[i]
	if b.country != [2]byte{} {
		country = string(b.country[:])
	}
	return country, b.asn
}

func key4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

func compareKeys(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) }

// parseRanges reads the text. Ranges whose country or AS is not known are left
// out; any other line that is none, and is no comment, is an error.
func parseRanges(b []byte) (*ranges, error) {
	r := new(ranges)
	number := 0
	for line := range bytes.Lines(b) {
		number++
		if len(line) > 1000 {
			return nil, fmt.Errorf("line %d is longer than 1000 bytes", number)
		}
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			r.comment(text)
			continue
		}
		if err := r.add(text); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if len(r.v4)+len(r.v6) > maxRanges {
			return nil, fmt.Errorf("it has more than %d ranges", maxRanges)
		}
	}
	if len(r.v4)+len(r.v6) == 0 {
		return nil, errors.New("it has no range of addresses")
	}
	return r, nil
}

// comment takes the date from Tor's files.
func (r *ranges) comment(text string) {
	if date, ok := strings.CutPrefix(text, "# Generated: "); ok {
		if t, err := time.Parse(time.RFC1123, date); err == nil {
			r.generated = t
		}
	}
}

func (r *ranges) add(line string) error {
	separator, says := ",", 3 // fields; names may follow
	if strings.Contains(line, "\t") {
		separator, says = "\t", 4
	}
	fields := strings.SplitN(line, separator, says+1)
	if len(fields) < 3 {
		return errors.New("it has fewer than three fields")
	}
	for i := range fields {
		fields[i] = strings.Trim(fields[i], `"`)
	}
	first, err := parseAddr(fields[0])
	if err != nil {
		return err
	}
	last, err := parseAddr(fields[1])
	if err != nil {
		return err
	}
	if first.BitLen() != last.BitLen() || last.Less(first) {
		return fmt.Errorf("%s to %s is no range", first, last)
	}
	var e entry
	for _, field := range fields[2:min(says, len(fields))] {
		e.take(field)
	}
	switch {
	case e == entry{}:
		return nil
	case first.Is4():
		r.v4, err = grow(r.v4, block[uint32]{key4(first), key4(last), e}, cmp.Compare[uint32])
	default:
		r.v6, err = grow(r.v6, block[[16]byte]{first.As16(), last.As16(), e}, compareKeys)
	}
	if err != nil {
		return fmt.Errorf("the range from %s %w", first, err)
	}
	return nil
}

// grow appends a range, which must come after all others.
func grow[K any](blocks []block[K], b block[K], compare func(K, K) int) ([]block[K], error) {
	if n := len(blocks); n > 0 && compare(blocks[n-1].last, b.first) >= 0 {
		return nil, errors.New("does not come after the one before: ranges must be in order")
	}
	return append(blocks, b), nil
}

// parseAddr reads an address, or an IPv4 address as one number.
func parseAddr(s string) (netip.Addr, error) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(n)))), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("%q is no address", s)
	}
	return a, nil
}

// take notes a country or an AS, if the field is one.
func (e *entry) take(field string) {
	if isCode(field) {
		e.country = [2]byte([]byte(field))
		return
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(field, "AS"), 10, 32)
	if err == nil && n < math.MaxUint32 { // AS 2³²-1 is reserved (RFC 7300)
		e.asn = uint32(n)
	}
}
