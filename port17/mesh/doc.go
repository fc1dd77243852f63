// Package mesh chooses the neighbours of a node: to which others it keeps links.
//
//	map ── New ──► World ── Choose(View) ──► Selection ── Admit ──► links that are published
//
// The nodes of a small network are all linked. In a larger one a node chooses
//
//   - some at random, by a hash over both identities and the week, so that both
//     ends agree and the network stays in one piece whatever the others are;
//   - some that are fast, by the same hash and what authorities have measured;
//   - some that are near, by round trips: its own measurements, the shortest
//     path over published links, and the distance of countries where there is
//     nothing else.
//
// No owner, group, network (/16 or /32) or autonomous system has more than a
// part of them: see docs/decisions/mesh.md for the rule, the bounds and the
// attacks that were considered. Whoever chooses makes the link, and the other
// takes it, within bounds likewise: Admit says which links count.
//
// Nodes and simulators use the same code. It is pure: what it returns follows
// from its arguments. A World may be used by any goroutine.
package mesh
