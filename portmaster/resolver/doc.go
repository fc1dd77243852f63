// Package resolver answers the DNS questions of the applications on this
// machine, so that rules about domains hold and what is blocked is refused by
// name.
//
//	question ─► who asks? ─► may it be resolved? ─► cache ─► upstream
//	answer   ◄─ addresses made known ◄─ its aliases allowed? ◄─┘
//
// Its owner decides through the functions in [Config]: Client says who sent a
// question, Decide whether it may be resolved and on which way, and Learn is
// told of the addresses before the application is. When one of them cannot
// answer, the question is refused or fails; nothing is let through instead.
//
// Upstreams are spoken to over TLS (RFC 7858, padded as RFC 8467 advises), or
// plainly over UDP or TCP; see [ParseUpstream]. When one fails or is slow, the
// next is asked. Questions that have to be tunnelled go over connections of
// Config.TunnelDial, always over TCP, and are kept apart in the cache.
//
// What comes back must answer the question that was asked. Only records on
// the chain of aliases from the name asked for are passed on, and address
// hints in HTTPS and SVCB records are taken out, as they would lead around
// the rules; the application asks for the addresses themselves.
//
// [New] opens the sockets, [Server.Serve] answers until it is told to stop.
// The functions in Config are called by many goroutines at the same time.
//
// The resolver does not validate DNSSEC, but hands on what upstreams say about
// it; it has no names of its own, and does not answer networks.
package resolver
