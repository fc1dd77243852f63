// Package stream carries byte streams between the two ends of a circuit, its
// origin and its exit. The same code runs at both; only an origin opens.
//
// A Mux is one end. Whoever owns the circuit hands it the frames that arrive
// (Receive) and a function that seals and queues cells (Config.Send). A Stream
// is a net.Conn with CloseWrite: each direction ends on its own, and what was
// written before the end always arrives.
//
// A stream whose target is UDP carries datagrams instead: see Datagrams.
//
// Two windows bound what is under way:
//
//   - Each stream's receiver says up to which byte the other side may send. The
//     window grows while the reader keeps up and more comes, and so bounds what
//     a slow reader makes this end hold.
//   - The circuit's window counts cells that carry data and are not yet
//     acknowledged. Cells are acknowledged when they arrive, not when somebody
//     reads them, so a stream that nobody reads never stops the others. It
//     follows the rate and the round trip that the sender measures, and its
//     limit is what a relay's queue for a circuit has to hold.
//
// Frames that carry neither data nor a target are not counted, as they are
// bounded by those that do; so acknowledgements can't wait for each other.
//
// Concurrency: Receive is called by one goroutine at a time, and never blocks.
// All else may be called from any goroutine. Send is called by one goroutine at
// a time, whichever has something to send, with cells in the order in which
// they have to be sealed.
package stream
