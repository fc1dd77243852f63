// Package geo tells the country and the network (AS) of an address from an
// MMDB file, the format that MaxMind, DB-IP and others publish, and how far
// countries are from each other.
//
// A nil *DB is valid and knows nothing, so that callers need no special case
// when the user has no file. A DB may be used concurrently.
package geo
