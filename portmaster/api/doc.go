// Package api is Portmaster's HTTP interface: what the page and the command
// line use, and nothing else does more.
//
// A [Server] offers the same operations in two places. [Server.Socket] is for
// a unix socket that only its owner may open; there a request needs no
// further proof. [Server.Browser] is for a loopback port, which every user
// and, through a browser, every web site of the machine can reach. There a
// request must name a loopback host, come from the page itself, and carry the
// secret of this installation: as a bearer token, or as a cookie for which
// the address with ?token=… is exchanged once.
//
// Operations live under /api/v1 and are described by the OpenAPI document at
// /api/v1/openapi.json, which is made from the Go types. The live connections
// are a stream of server-sent events (see [history.Delta]).
//
// A [Client] calls the operations over the unix socket.
//
// The daemon hands in what the operations do ([Daemon]). This package decides
// nothing and keeps no state. All of it may be used from any goroutine.
package api
