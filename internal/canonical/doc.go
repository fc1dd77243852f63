// Package canonical writes and reads values of which there is one form only, so
// that they can be signed and hashed: core deterministic CBOR (RFC 8949, 4.2.1).
//
// What is read comes from strangers. Depth and lengths are bounded, and unknown
// or duplicate keys, tags and indefinite lengths are refused.
package canonical
