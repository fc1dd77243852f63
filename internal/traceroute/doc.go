// Package traceroute finds the routers on the way to an address.
//
// Trace sends datagrams whose time to live is 1, 2, 3 and so on. The router
// where one ends says so in an ICMP error, which the kernel puts into the
// socket's queue of errors (IP_RECVERR, ip(7)): so it needs no privilege. The
// destination itself answers that the port is closed. Some routers never answer,
// and many hosts let such datagrams vanish; then their addresses are missing from
// the [Path].
//
// A Path is what the network says, and anyone on it may lie. It shows one
// direction, and one of several ways if routers share traffic among them: each
// probe has another port.
//
// [Crossed] names the networks and countries of a path, as far as a database of
// package geo knows them.
//
// It runs on Linux; on other systems Trace returns an error that wraps
// [errors.ErrUnsupported]. All functions may be called from any goroutine; each
// call of Trace holds a thread until it returns.
package traceroute
