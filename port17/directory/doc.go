// Package directory is how the map of a Port17 network gets around: the Client
// that nodes and users follow it with, and the Mirror that hands it on.
//
//	authority ── Mirror ── GET /v1/map ──► Client.Watch ── node ── Mirror ── circuits ──► Client.Watch ── user
//	    ▲                                                    │
//	    └──────────── POST /v1/descriptors, /v1/keys ────────┘
//
// Nobody on the way has to be believed. A [Client] asks a node of the network
// through its circuits first, so that neither mirrors nor authorities learn who
// follows the map, then the mirrors of the network's file and the authorities.
// Each has a time of its own. A map is refused when it is not signed by enough,
// not valid now, older than one that was seen, another one of the same number,
// or too large; then the next source is asked, and the client goes on with what
// it has until that expires. A source that keeps newer maps back does so for two
// periods at most.
//
// A map travels as what has changed since the one that the client has, and
// without keys: those come in shards, which are fetched from anywhere when a node
// in them has none that is valid. A map whose keys come slowly is handed out with
// those that there are, and again with the others.
//
// On disk are the newest map and keys, which are used at once at the next start, and the
// heads of those that were seen, so that no older one is taken then. Two
// different maps of one number, which prove that somebody signs lies, are kept
// for others to see.
//
// All methods may be called from any goroutine. Only one client may keep its
// files in a folder. The package neither chooses routes nor judges nodes.
package directory
