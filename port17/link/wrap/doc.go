// Package wrap carries the bytes of links in something else than plain TCP: in
// QUIC, for networks that slow TCP down or block it, or in WebSocket over TLS,
// for networks that let nothing but web sites through.
//
//	link ── net.Conn ──► QUIC: one stream of one connection
//	                ├──► TLS 1.3 ─ HTTP/1.1 upgrade ─ a binary message for each Write
//	                └──► TCP
//
// A wrapping hides a link and protects nothing: the tinker handshake of the link
// inside authenticates the node, and its records are sealed whoever sees them.
// So QUIC's certificates are made anew at each start, and nobody checks them.
// Those of TLS are checked where the node has published a host name, since who
// ends such a connection sees that there is a link inside.
//
// Connections behave as those of TCP do, deadlines included. CloseWrite says that
// nothing more comes. Close ends a connection at once and loses what the
// other side has not read. NetConn returns the TCP connection below, where there
// is one.
//
// A [Listener] bounds what strangers cost: handshakes under way, their time, the
// length of messages and requests, and what QUIC keeps until it is read. Its
// methods may be called from any goroutine, and so may those of connections, of
// which Read, and Write with CloseWrite, are for one goroutine at a time each.
//
// The package does not choose wrappings, know who may link, or look like
// anybody's browser: a TLS hello tells that Go has made it.
package wrap
