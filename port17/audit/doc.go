// Package audit examines signed maps for people: it says step by step what was
// checked of one, whether the network's log has it, and how two differ.
//
//	signed map ── Check ──► Report ── Steps, Map
//	                          │
//	Dial(url) ──► Log ── Examine, Follows ── more Steps
//	Map, Map ── Compare ──► Diff
//
// What clients believe is decided by [netmap.Network.Verify] alone, which Check
// asks in the end; the steps say why. The log is read as c2sp.org/tlog-tiles,
// from an authority or whoever else has the files: nothing that it says is
// believed without a proof.
//
// Functions may be called from any goroutine. The package keeps nothing.
package audit
