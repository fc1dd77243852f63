// Package link carries cells between two neighbours over one connection,
// encrypted and authenticated.
//
// The side that connects is the initiator: a client, which stays anonymous,
// or a node, which proves its identity. It knows the responder, always a
// node, from the signed map. Its first flight is a tinker hello and, right
// behind it, records with cells, so that a link costs no round trip of its
// own; both sides change to fresh keys when the responder's reply arrives.
//
//	initiator                                   responder
//	hello ‖ record(early key) …        ───────▶
//	                                   ◀───────  reply ‖ record(session key) …
//	record(session key): AUTH, cells … ───────▶
//
// A circuit's part on a link is a Leg. Whoever creates it calls Open with the
// cells that create the circuit; the other side's Config.Accept is asked and
// names the Receiver of its cells. Outgoing cells wait in the leg's bounded
// queue. The link's writer takes legs in turn, those that were quiet first,
// puts up to 16 cells into one record and writes at once whatever there is:
// records fill up by themselves when the connection is slower than its users,
// and nothing waits for a timer, unless a rate is set.
//
// Concurrency: a link has two goroutines, a reader and a writer. Whoever pushes
// cells while nobody writes does so itself, as far as the socket has room, which
// saves waking the other; the rest is the writer's. Receivers are called by the
// reader, one at a time, and must not block; everything else may be called from
// any goroutine. Nobody calls a receiver while holding a lock, and a push to a
// leg only takes the lock of that leg's link.
//
// The connection is plain TCP, or one of the wrappings of package wrap.
//
// The package does not choose neighbours, reconnect, or know what an onion is.
package link
