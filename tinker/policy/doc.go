// Package policy says which suites of Tinker a network may use, and lets the
// network change its mind while it runs.
//
// The authorities of a network sign a [Policy]: a short text that says of each
// suite whether it is preferred, allowed, deprecated until a time, or
// forbidden. A suite that it doesn't name may not be used. Versions rise, and
// each ends at a time. To switch a network to a new suite, ship programs that
// have it, then sign policies that call it allowed, later preferred; the old
// one becomes deprecated and at last forbidden.
//
//	authority                    program
//	Policy.Sign                  Load(Config{Floor, Path})
//	    ── signed text ────────►   Update     every time a policy arrives
//	                               Best       a suite for a new hello
//	                               Check      may this hello, this session go on?
//	                               Step       may this session change its suite?
//
// # What holds
//
// [Policies] takes a policy only with enough of the signatures that the
// product's [Floor] names. It writes the policy to disk before the policy
// counts, and from then on takes none that is older, nor another of the same
// version: replaying an old policy brings no suite back, before or after a
// restart. A suite that the floor forbids can't be allowed by any policy.
//
// Everything fails closed. A policy that has ended allows nothing, and one
// that has ended before it came allows nothing either: it proves that the
// authorities have withdrawn those before. Programs fetch a new one in time.
//
// Until the first policy has come, the floor's default counts, for as long as
// it says. A default is what the product's makers knew; once a policy has been
// seen, it never counts again, unless a later product raises the lowest
// version above what was seen.
//
// # What doesn't
//
// The end of a policy, and of a deprecated suite's time, is only as good as
// the clock. Whoever sets it back keeps an ended policy alive, and whoever
// sets it ahead ends one too early; neither changes which policy counts, nor
// brings back a suite that it forbids. Whoever withholds new policies goes
// unnoticed until the newest that came ends. Whoever may write to the state
// folder can remove what was seen, or put an older file in its place.
//
// The package fetches nothing, ends no sessions and knows no algorithm: it may
// name suites that this build lacks. Policies may be used concurrently. Only
// one may use a file at a time.
package policy
