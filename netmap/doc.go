// Package netmap is what everybody knows about a Port17 network: descriptors,
// in which nodes describe themselves, and the map, in which an authority says
// which nodes there are.
//
//	node ── Descriptor.Sign ──► authority ── AssembleMap ──► Network.Verify ── client, node
//
// A [Network] is the trust anchor: the network's name, and which authorities
// sign its maps. Clients and nodes load it from a file and believe nothing that
// it does not lead to. A map holds the descriptors as their nodes signed them,
// so an authority can leave a node out, but can't speak for one.
//
// The formats are in docs/spec/netmap.md. What is read comes from strangers: it
// is bounded and checked before it is returned, and has one form only.
//
// Values are not changed after they were made, and so may be shared.
package netmap
