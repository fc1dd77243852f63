// Package node runs a Port17 node: it keeps links to other nodes, passes the
// cells of circuits on, and connects to destinations as an exit.
//
//	listener ── link.Accept ──► relay ── Open ──► link to the next node
//	                              │
//	                              └─ exit ┬─ net.Dialer ──► destination
//	                                      └─ association ── UDP ──► destinations
//
// A node follows the network's map, keeps links to some of the nodes on it, a few
// to each, measures them, and publishes its descriptor when those have changed. It
// extends circuits only to nodes that it has a link to and that are on a map that
// is still valid.
//
// Handshakes are computed by as many workers as there are CPUs, from a bounded
// queue; cells are passed on by the links' readers, without locks in between.
// Whatever is sent to a node, its memory is bounded: circuits for each link and
// in all, cells for each circuit, streams for each circuit, associations and
// sockets of the exit, and cells in all. A circuit ends when it has reached its
// greatest age.
//
// Circuits that ask for it are mixed and padded, within what the descriptor
// offers: their cells leave when a mixer says so, which has one goroutine for all
// of them. Others never come near it.
//
// The node knows neither who uses it nor, unless it is the exit, for what. It
// logs no address, name or key of users at any level.
//
// A Node's methods may be called from any goroutine. Any number of nodes can
// live in one process.
package node
