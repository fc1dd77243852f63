package feed

import (
	"cmp"
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
)

// A Feed is a list of domains. Make one with [ParseHosts].
type Feed struct {
	// Name is what the user calls the list.
	Name string
	// Skipped counts lines that could not be understood.
	Skipped int

	seed   maphash.Seed
	hashes []uint64 // in order
	lines  []uint32 // of the hash at the same place
}

// An Entry is one domain on a list.
type Entry struct {
	Domain string
	Line   int // from 1
}

// Len is the number of domains.
func (f *Feed) Len() int { return len(f.hashes) }

// Lookup finds the domain or the nearest domain above it on the list. The
// domain is in lower case and A-labels; a final dot does not matter.
func (f *Feed) Lookup(domain string) (Entry, bool) {
	domain = strings.TrimSuffix(domain, ".")
	for domain != "" && len(f.hashes) > 0 {
		if line, ok := f.find(maphash.String(f.seed, domain)); ok {
			return Entry{domain, int(line)}, true
		}
		_, domain, _ = strings.Cut(domain, ".")
	}
	return Entry{}, false
}

// find looks for a hash. As hashes are spread evenly, the place is guessed and
// then searched for in steps that double, which stays within few cache lines.
func (f *Feed) find(h uint64) (line uint32, ok bool) {
	n := len(f.hashes)
	guess, _ := bits.Mul64(h, uint64(n))
	low, high := int(guess), int(guess)+1 // the half-open range to search
	for step := 8; low > 0 && f.hashes[low] > h; step *= 2 {
		high, low = low, max(0, low-step)
	}
	for step := 8; high < n && f.hashes[high-1] < h; step *= 2 {
		low, high = high, min(n, high+step)
	}
	at, ok := slices.BinarySearch(f.hashes[low:high], h)
	if !ok {
		return 0, false
	}
	return f.lines[low+at], true
}

// A mark is a hash and the line of its domain.
type mark struct {
	hash uint64
	line uint32
}

// fill takes the marks over; of equal domains the first line stays.
func (f *Feed) fill(marks []mark) {
	slices.SortFunc(marks, func(a, b mark) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.line, b.line))
	})
	marks = slices.CompactFunc(marks, func(a, b mark) bool { return a.hash == b.hash })
	f.hashes = make([]uint64, len(marks))
	f.lines = make([]uint32, len(marks))
	for i, m := range marks {
		f.hashes[i], f.lines[i] = m.hash, m.line
	}
}
