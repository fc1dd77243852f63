// Package route chooses the nodes of a circuit from the map.
//
//	map ──► New ──► Finder ── Find(Request) ──► Route
//
// A route leads from an entry over links that both ends have published to an
// exit whose policy allows the destination. No two of its nodes belong to one
// owner or group, or have addresses in one /16 (IPv4) or /32 (IPv6). Among the
// routes that fulfil the request one is drawn from the fastest: by measured
// round trips from client to entry and between nodes, with a preference for
// exits in the destination's country. A link counts for a millisecond at least,
// as its ends could claim anything. Entries are drawn apart from that, by
// [Finder.DrawEntry].
//
// A Finder belongs to one map and may be used concurrently. It opens no
// connections and remembers nothing.
package route
