// Package route chooses the nodes of a circuit from the map.
//
//	map ──► New ──► Finder ── Find(Request) ──► Route
//
// A route leads from an entry over links that both ends have published to an
// exit whose policy allows the destination. No two of its nodes belong to one
// owner or group, or have addresses in one /16 (IPv4) or /32 (IPv6). Its cost
// is the estimated time until the first byte comes back: the round trips from the
// client to the entry, over the links, through nodes that have other things to
// do, and two from the exit to the destination, with a price on networks (AS) that see it more than once. Of the
// routes that cost nearly as little as the cheapest one is drawn, by how much
// its narrowest node carries, so that not everybody takes the same; at the level
// extreme cost does not matter. Entries are drawn apart from that, by
// [Finder.DrawEntry].
//
// How it is fast on a map of 10,000 nodes: from each entry a [table] says what
// the cheapest way of so many links to each node costs. It is made once for a
// map and what requests avoid, and knows neither destinations nor which nodes
// may not be together: so it is a lower bound. A search looks at each exit's
// bound once, and goes from the best exits backwards, only where the bound says
// that it may be worth it:
//
//	entry ──(table)──► … ──► node ──(links, one by one)──► exit ──(country)──► destination
//
// A Finder belongs to one map and may be used concurrently. It opens no
// connections. What it remembers is bounded, and changes no answer.
package route
