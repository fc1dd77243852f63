// Package witness makes sure that a network has one log of its maps, which only
// grows: the server that does (c2sp.org/tlog-witness), and the client with which
// authorities ask it.
//
//	authority ── Client.Cosign ── POST /add-checkpoint ──► Witness ── SQLite
//
// A witness remembers the newest checkpoint of each log. It cosigns another one
// if as many authorities have signed it as the network's file says, and if it is
// proven to hold all that the remembered one holds. So whoever wants two people
// to believe in different maps needs the witnesses' help, besides that of the
// authorities.
//
// A cosignature is given only for what is on disk, with the disk's word that it
// is there. Two checkpoints of one size with different roots, both signed by the
// authorities, are proof that these cheat: the witness keeps the other one, and
// logs it as an error.
//
// All methods may be called from any goroutine. The witness does not read the
// maps, and says nothing about what is in them.
package witness
