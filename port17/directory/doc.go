// Package directory is how the map of a Port17 network gets around.
//
//	node ── Client.Publish ──► authority ── GET /v1/map ──► Client.Watch ── client, node
//
// A [Client] asks every authority of the network until one has an answer that
// verifies, never accepts a map older than one it has seen, and keeps the
// newest on disk. With ?after=SEQUENCE&wait=SECONDS the authority holds the
// answer back until there is a newer map.
//
// All methods may be called from any goroutine. The package neither chooses
// routes nor judges nodes.
package directory
