// Package tlog is an append-only log of short texts in SQLite: a Merkle tree as
// of RFC 6962, which others can check without trusting who keeps it.
//
//	Append(tx, leaf) ──► tables ──► At ──► Tree.Root, Tree.Prove, Tree.ProveFrom
//	                        └─────► Handler ── c2sp.org/tlog-tiles ──► monitors
//
// The tables are [Schema], which belongs into the migrations of the database
// that the log lies in. So a leaf can be appended in the same transaction as
// what depends on it, and a database holds one log. Nothing is ever changed or
// removed.
//
// [Tree.With] is the tree that one more leaf would make. Its root can be signed,
// and its proofs shown to witnesses, before anything is appended.
//
// Functions may be called from any goroutine, as long as the *sql.DB or *sql.Tx
// handed in allows that. The package signs nothing: checkpoints are the caller's.
// It is made for some hundred thousand leaves of some hundred bytes.
package tlog
