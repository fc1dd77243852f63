// Package authority gathers the descriptors of a Port17 network and signs the
// map of it.
//
//	node ── POST /v1/descriptors ──► Authority ── GET /v1/map ──► directory.Client
//
// The authority takes descriptors that are signed by their nodes, fresh, and
// newer than the last. It signs a new map soon after something has changed, and
// leaves out nodes that it has not heard from. It keeps both in a database, so
// sequence numbers rise over restarts.
//
// All methods may be called from any goroutine. The package neither chooses
// routes nor judges nodes.
package authority
