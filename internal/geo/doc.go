// Package geo tells the country and the network (AS) of an address, and how far
// countries are from each other.
//
// A [DB] reads files that the user has: MMDB, the format that MaxMind, DB-IP
// and others publish, IPFire's libloc, and text with a range of addresses in each
// line, such as Debian's tor-geoipdb. See docs/geo.md for where to get them and what they may
// be used for; none comes with our programs. Built in is IANA's table (CC0) of
// which regional registry has which large blocks. It knows no country, but tells
// continents apart roughly; package iana makes it.
//
// Files are read into memory as a whole, and again when they change (Follow),
// so that one that is cut short while it is in use does no harm.
//
// A nil *DB is valid and knows the registries alone, so that callers need no
// special case when the user has no file. All functions and methods may be
// called from any goroutine.
package geo
