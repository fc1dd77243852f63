// Package tinker is the cryptography of a privacy network, useful alone: a
// hybrid post-quantum handshake that costs no round trip, and a ratchet for
// ordered streams of messages. Every algorithm is named by a suite.
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
// A hello's payload may be another hello for another responder, so one flight
// can build a route.
//
// A session is a [Sealer] and an [Opener], one for each direction. They need a
// transport that keeps the order: counters are implicit, and any message that
// does not open ends the direction for good.
//
// Formats, reasons and limits are in docs/spec/tinker.md. The package does no
// input or output, keeps no files, and uses the standard library alone.
//
// Prekeys may be used concurrently. Initiator, Sealer and Opener may not.
package tinker
