// Package socks asks SOCKS5 proxies (RFC 1928) for connections and for
// datagrams, for tests and measurements of what stands behind one.
//
//	conn, _ := net.Dial("tcp", proxy)
//	err := socks.Connect(conn, "user", "example.org:443")
//
// Credentials, of which the user's name is one, separate: proxies here take
// any. Connections and their deadlines are the caller's. A [PacketConn]'s
// methods may be called from any goroutine. It is not for shipped programs.
package socks
