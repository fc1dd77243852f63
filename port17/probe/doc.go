// Package probe measures nodes, as an authority does before it speaks for them:
// whether they can be reached, whether exits leave alone what passes them, and
// how much they can carry.
//
//	Probe    a link to every address and entrance, which proves the node's identity
//	         prober ── partner ── exit ──► Server: a page, in plain and in TLS
//	Measure  prober ── partner ── node ── exit ──► Server: bytes, for five seconds
//
//	Scanner  both, for all nodes in turn, within a budget ──► Opinion of each
//
// A [Prober] works on one node at a time for each call, and keeps nothing; a
// [Scanner] remembers. A [Server] is where circuits lead to: it answers requests of
// its prober and of nobody else, with bytes that nobody can foresee. Without one a
// prober knows no more than whether nodes can be reached.
//
// Capacity is measured as Tor's sbws does (https://sbws.readthedocs.io): with real
// transfers through the node and others that are known to be faster, so that
// nobody's word is needed. What a node could gain is bounded (see [Prober.Measure]),
// but for one thing: who knows which traffic is the authority's can serve that
// first. So circuits are entered at other nodes where there are any. FlashFlow
// (Traudt, Jansen, Johnson, 2020, arXiv 2004.09583) measures more exactly, from
// many machines at once, and has nodes tell which traffic is whose.
//
// All methods may be called from any goroutine. What comes from nodes is bounded
// in bytes and time.
package probe
