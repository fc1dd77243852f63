// Package authority makes the maps of a Port17 network: each of its authorities
// gathers what nodes publish, says what it sees of them, and signs the map that
// follows from what most say.
//
//	node ── POST /v1/descriptors, /v1/keys ──► intake ──► registry ──► vote
//	                                             │                      │
//	other authorities ◄── POST /v1/objects ──────┘      GET /v1/votes ──┤
//	                                                                    ▼
//	client ◄── GET /v1/map ── log ◄── witnesses ◄── candidate ◄── tally of votes
//
// Time is divided into periods. At the beginning of each the authorities vote,
// and pass each other's votes on in rounds, after which all honest ones count
// the same votes (see rounds). A tally is a pure function of votes, so all have
// the same map; each signs the log with that map as its next leaf, and gathers
// the others' signatures and the cosignatures of witnesses. As long as k of n
// authorities are honest and reach each other, there is a map in every period,
// and none says what fewer than k want. docs/decisions/consensus.md has the
// reasons.
//
// An authority that is alone does the same without waiting, soon after a change.
// What others are told is on disk before: the own vote, the candidate, the log.
// An authority that was away takes the leaves and the map that it lacks from the
// others.
//
// All methods of an Authority may be called from any goroutine. The package
// chooses no routes, and keeps the maps but does not decide who is shown them:
// port17/directory does.
package authority
