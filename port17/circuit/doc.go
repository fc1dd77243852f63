// Package circuit is the origin's end of circuits: it builds them through a
// route's nodes in one flight, and opens streams on them.
//
//	Dial: hello( hello( hello( OPEN target, early data ))) ──► link.Leg
//	replies:  node 1 ── created ── layer(created) ── layer(layer(created)) ──► origin
//	data:     stream.Mux ── a layer for each node ──► link.Leg
//
// A Circuit is usable when Dial returns: the first stream's target and early
// data travel with the handshakes. What is written beyond that waits until all
// nodes have replied, and so is protected by fresh keys.
//
// A [Dialer] asks the nodes to mix and pad, and pads what the origin sends.
//
// When a node fails, the circuit ends with an [*Error] that says at which node
// and why, and so does every stream on it. Nothing is sent another way.
//
// All methods may be called from any goroutine. The package chooses neither
// routes nor when circuits are shared.
package circuit
