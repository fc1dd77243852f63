// Package token has blind access tokens: proofs of payment that nobody can
// link to the payment. They are the publicly verifiable tokens of Privacy Pass
// (RFC 9578, token type 2: blind RSA signatures of RFC 9474 with keys of 2048
// bits), with a set of spent tokens that survives crashes.
//
// A token is made for a [Challenge] (RFC 9577), which says where and when it
// may be spent. The issuer signs it without seeing it. Who redeems it needs
// only the issuer's public key, and asks nobody.
//
//	client                               issuer
//	key.Blind(challenge) = pending
//	    ── Request, 259 bytes ─────────►  issuer.Sign(request)
//	    ◄──────── Response, 256 bytes ──
//	pending.Finish(response) = token
//
//	client                               node
//	    ── Token, 354 bytes ───────────►  key.Verify(token, challenge)
//	                                      spent.Spend(epoch, nonce)
//
// There are two tiers. Whoever pays gets credits, which only the issuer takes.
// Later, over an anonymous connection, an [Exchange] takes a credit and signs
// a spend token in its place, for one node and one epoch:
//
//	payment ─► Issuer of credits ─► credit      CreditChallenge(issuer, epoch)
//	credit ──► Exchange ──────────► spend token  SpendChallenge(issuer, node, epoch)
//	spend token ─► node: Verify, then Spend in the node's own Spent set
//
// As a spend token is good at one node alone, that node's own [Spent] set is
// enough to refuse it a second time, and no node tells another what was spent.
//
// An issuer cannot see what it signs, neither the tier nor the epoch. So its
// key must say it: credits and spend tokens have different keys, which
// [NewExchange] insists on, and a key is withdrawn with the epochs it was for.
// The client must have the key from where everybody has it, since a key of
// its own would mark its tokens.
//
// An epoch is a number that all sides derive from the time, such as the Unix
// time divided by the length of a slot. This package does not look at clocks:
// the caller says which epochs it takes, and drops old ones with
// [Spent.Forget].
//
// An Issuer, IssuerKey, Exchange and Spent may be used concurrently, and so may
// a Pending. The format of messages and files is in docs/spec/token.md.
package token
