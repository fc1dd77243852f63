// Package cell is the wire format of Port17's data plane: what links carry,
// how a circuit is created, and the frames that streams are made of.
//
// A cell has 4096 bytes and is the only thing on a link. Its payload is an
// onion: each hop of a circuit opens one layer going forward and adds one
// going backward. Inside the innermost layer, between a circuit's origin and
// its exit, lie frames: open a stream, data, half-close, reset, windows.
//
//	record ⊃ cell = circuit ‖ command ‖ payload        (per link)
//	payload ⊃ layer ⊃ … ⊃ layer                        (per hop)
//	innermost layer = frame ‖ frame ‖ … ‖ zeros        (origin and exit)
//
// The functions here encode and decode, and nothing else: no keys, no
// connections, no state. Decoders accept any bytes, never panic, and their
// results point into what they were given. Everything may be called from any
// goroutine; a Pool may be shared by all.
//
// The formats are specified in docs/spec/port17.md.
package cell
