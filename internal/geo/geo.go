package geo

import (
	"fmt"
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"
)

// A DB is an open MMDB file.
type DB struct{ reader *maxminddb.Reader }

// Open opens the file.
func Open(path string) (*DB, error) {
	r, err := maxminddb.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the location database %s: %w", path, err)
	}
	return &DB{r}, nil
}

// Country is the ISO 3166-1 alpha-2 code of the address's country, or empty.
func (d *DB) Country(a netip.Addr) string {
	var code string
	d.find(a, &code, "country", "iso_code")
	return code
}

// ASN is the number of the autonomous system that announces the address, or
// 0.
func (d *DB) ASN(a netip.Addr) uint32 {
	var number uint32
	d.find(a, &number, "autonomous_system_number")
	return number
}

// find leaves v as it is when the file says nothing of the address.
func (d *DB) find(a netip.Addr, v any, path ...any) {
	if d == nil || !a.IsValid() {
		return
	}
	_ = d.reader.Lookup(a.Unmap()).DecodePath(v, path...) // unknown is not an error
}

// Close closes the file.
func (d *DB) Close() error {
	if d == nil {
		return nil
	}
	return d.reader.Close()
}
