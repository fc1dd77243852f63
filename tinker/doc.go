// Package tinker is the cryptography of a privacy network, useful alone: a
// hybrid post-quantum handshake that costs no round trip, a double ratchet for
// ordered streams of messages, and the layers of an onion. Every algorithm is
// named by a suite.
//
// A responder holds [Prekeys]: short-lived key pairs in memory, whose public
// halves it publishes. An initiator who knows one makes a hello with
// [Initiate]; the hello carries a payload, and data may follow it at once,
// sealed by [Initiator.Early]. The responder answers with [Prekeys.Respond]
// and has a [Session]; its reply gives the initiator the same one with
// [Initiator.Finish].
//
//	initiator                                responder
//	Initiate(recipient, label, payload)
//	    ── hello, early data ──────────────►  Respond(label, hello)
//	    ◄──────────── reply, data ──────────  Response.Session
//	Finish(reply) = Session
//	    ── data ───────────────────────────►
//
// A session is a [Sealer] and an [Opener], one for each direction. They need a
// transport that keeps the order: counters are implicit, and any message that
// does not open ends the direction for good. [Session.Offer] begins a step of
// the ratchet, which renews all keys and may change the suite. Sessions end at
// [Limits].
//
// A hello's payload may hold a hello for another responder, so one flight
// builds a route ([InitiateRoute]). Then the initiator has an [Onion] of the
// sessions with all hops, and each hop a [Relay]:
//
//	cell ─ Onion.Seal ─► Relay.Open ─► Relay.Open ─► Relay.Open ─► content
//	content ─ Relay.SealOwn ─► Relay.Seal ─► Relay.Seal ─► Onion.Open
//
// Beside it: tinker/policy says which suites a network uses, tinker/token has
// blind access tokens, tinker/keyfile keeps long-term keys.
//
// Formats, reasons and limits are in docs/spec/tinker.md. The package does no
// input or output and keeps no files.
//
// Keys that are no longer needed are forgotten as the protocol goes on; what
// ends in between has a Close that forgets the rest.
//
// Prekeys and Workers may be used concurrently. A Session may be used by one
// goroutine that sends and one that receives; of an Onion and a Relay the same
// holds. An Initiator is for one goroutine.
package tinker
