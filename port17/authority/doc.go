// Package authority gathers the descriptors of a Port17 network and publishes
// the map of it: both the server that signs maps and the client that nodes and
// users follow it with.
//
//	node ── POST /v1/descriptors ──► Authority ── GET /v1/map ──► Client.Watch
//
// The authority takes descriptors that are signed by their nodes, fresh, and
// newer than the last. It signs a new map soon after something has changed, and
// leaves out nodes that it has not heard from. It keeps both in a database, so
// sequence numbers rise over restarts.
//
// The client asks every authority of the network until one has an answer that
// verifies, never accepts a map older than one it has seen, and keeps the
// newest on disk. With ?after=SEQUENCE&wait=SECONDS the authority holds the
// answer back until there is a newer map.
//
// All methods may be called from any goroutine. The package neither chooses
// routes nor judges nodes.
package authority
