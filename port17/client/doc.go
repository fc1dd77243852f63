// Package client uses a Port17 network: it follows the map, keeps links to a
// few entries, and opens connections through circuits.
//
//	Dial ──► route.Finder ──► circuit ──► link to the entry
//	ListenPacket ─┘
//	SOCKS5, HTTP CONNECT ──► Dial, ListenPacket
//
// Dial does not wait for the exit: the first bytes written travel with the
// handshakes that build the circuit, if none is there. Connections share a circuit only if they
// are of one application, one isolation tag and one level.
//
// For what was asked for in the last ten minutes a few circuits are built ahead.
// They carry nothing until one group of connections takes them. A circuit takes
// new connections for ten minutes after its first, and up to two hundred; before
// that ends, or when a node of it leaves the map, an active group has another,
// with the same exit if that will do. What is connected stays where it is.
//
// ListenPacket does the same for datagrams. Those that find no room are dropped,
// here or at the exit, and nobody waits for them.
//
// What is not encrypted, by its port or its first bytes, leaves through a trusted
// exit, if there are such on the map.
//
// When a circuit breaks, its connections end with an error. Nothing is sent
// again or another way; the node at fault is left out for a while, so that the
// next connection takes another route.
//
// Where a name is, and how far destinations are from exits, each group of
// connections learns for itself: its next circuit has an exit that is near.
//
// Circuits are mixed and padded for connections that ask for it, and at the level
// extreme: connections share one only if they want the same of it.
//
// A client shows itself to few: it draws two entries, whatever nodes say of
// themselves, remembers them, and draws a few more only when none of them
// answers or leads where it has to. It goes back to the first that answer.
//
// To each it keeps two links, plain TCP or what else goes through: circuits are
// spread over them.
//
// All methods may be called from any goroutine, and any number of clients can
// live in one process.
package client
