package geo

import "os"

// Installed returns the paths of databases that other programs keep on this
// machine: MaxMind's geoipupdate, whose folder DB-IP's files may be put into, and
// packages of the distribution. Files for countries come before those that know
// countries less well.
func Installed() []string {
	var found []string
	for _, dir := range []string{"/var/lib/GeoIP/", "/usr/share/GeoIP/", "/usr/local/share/GeoIP/"} {
		for _, name := range []string{"GeoLite2-Country", "dbip-country-lite", "GeoLite2-ASN", "dbip-asn-lite"} {
			found = append(found, dir+name+".mmdb")
		}
	}
	found = append(found,
		"/var/lib/location/database.db",                 // libloc's own, renewed each week
		"/usr/share/tor/geoip", "/usr/share/tor/geoip6", // tor-geoipdb
		"/usr/share/libloc-location/location.db") // libloc-database
	there := found[:0]
	for _, path := range found {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			there = append(there, path)
		}
	}
	return there
}
