// Package netmap is what everybody knows about a Port17 network: descriptors and
// keys, which nodes publish, and the map, in which the authorities say which
// nodes there are.
//
//	node ─┬ Descriptor.Sign ─► authorities ─ New, Map.Encode ─► body ─ Compress, Expand ─► DecodeMap ─► client, node
//	      └ Keys.Sign ───────► authorities ─ Map.Encode ──────► shards ──────────────────► Map.AddKeys ─┘
//	operator ─ Canary.Sign, Moderation.Sign ─► authorities ─ Network.Stand ─► Map.Notices
//
// A [Network] is the trust anchor: the network's name, and who signs its maps.
// Clients and nodes load it from a file and believe nothing that it does not
// lead to. Network.Verify reads what is signed.
//
// A map has no signatures of nodes. What it says of a node's identity part gives
// the binding of the descriptor that the node has signed, and hellos are bound
// to that; keys are signed by their nodes. So authorities can leave a node out,
// but can't speak for one.
//
// The formats are in docs/spec/netmap.md. What is read comes from strangers: it
// is bounded and checked before it is returned, and has one form only.
//
// Values are not changed after they were made, and so may be shared.
package netmap
