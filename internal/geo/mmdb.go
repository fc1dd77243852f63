package geo

import (
	"bytes"
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"
)

// mmdb is a file in MaxMind's format, version 2
// (https://maxmind.github.io/MaxMind-DB/).
type mmdb struct{ reader *maxminddb.Reader }

// metadataMark begins the metadata, which is in the last 128 KiB.
const metadataMark = "\xab\xcd\xefMaxMind.com"

func isMMDB(b []byte) bool {
	return bytes.Contains(b[max(0, len(b)-128<<10):], []byte(metadataMark))
}

// newMMDB reads the file, and looks whether its first records say anything that
// we could use.
func newMMDB(b []byte) (mmdb, error) {
	r, err := maxminddb.OpenBytes(b)
	if err != nil {
		return mmdb{}, err
	}
	looked := 0
	for found := range r.Networks() {
		if err := found.Err(); err != nil {
			return mmdb{}, err
		}
		if countryOf(found) != "" || asnOf(found) != 0 {
			return mmdb{r}, nil
		}
		if looked++; looked == 1000 {
			break
		}
	}
	return mmdb{}, errors.New("its records have neither countries nor AS numbers: take a country, city or ASN database")
}

func (m mmdb) locate(a netip.Addr) (string, uint32) {
	found := m.reader.Lookup(a)
	if !found.Found() {
		return "", 0
	}
	return countryOf(found), asnOf(found)
}

// countryOf looks where publishers put the code: MaxMind, DB-IP and their
// likes under country, or for some addresses registered_country; ip-location-db
// and IPinfo in country_code, and IPinfo formerly in country. What cannot be
// decoded is like what is not there.
func countryOf(found maxminddb.Result) string {
	for _, path := range [][]any{
		{"country", "iso_code"},
		{"country_code"},
		{"registered_country", "iso_code"},
		{"country"},
	} {
		var code string
		if found.DecodePath(&code, path...) == nil && isCode(code) {
			return code
		}
	}
	return ""
}

// asnOf looks where publishers put the number: all but IPinfo in
// autonomous_system_number, IPinfo in asn with AS before it.
func asnOf(found maxminddb.Result) uint32 {
	var number uint32
	if found.DecodePath(&number, "autonomous_system_number") == nil && number != 0 {
		return number
	}
	if found.DecodePath(&number, "asn") == nil && number != 0 {
		return number
	}
	var text string
	if found.DecodePath(&text, "asn") != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "AS"), 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// isCode reports whether a text has the form of an ISO 3166-1 alpha-2 code. ZZ
// and XX say that the country is not known.
func isCode(s string) bool {
	return len(s) == 2 && 'A' <= s[0] && s[0] <= 'Z' && 'A' <= s[1] && s[1] <= 'Z' && s != "ZZ" && s != "XX"
}
