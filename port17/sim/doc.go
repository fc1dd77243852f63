// Package sim simulates networks that do not exist yet, with the code that
// clients and nodes run.
//
//	Config ──► World ── Map ──► Port17 (port17/route) ──┐
//	             │                                      ├──► Tunnels ──► latency, load, attack
//	             └────────────► Tor (a model) ──────────┘
//
// A [World] is made from a seed: cities and networks, owners and their nodes,
// clients where people are, destinations where sites are, and how long packets
// take between any two. Its nodes choose their links and publish a real
// map; clients draw entries and find routes on it as they do elsewhere.
// [Tor] chooses on the same nodes by Tor's published rules, for comparison.
// [Run] makes reports: tables, charts and all figures as JSON.
//
// docs/scale.md and docs/attack-cost.md have results and say what they mean.
//
// Worlds are the same for the same seed. Routes are not quite: the finder draws
// from randomness of its own, as it has to for clients. Figures over many tunnels
// differ in the last digit only.
//
// What is not simulated: load and queues, packets that are lost, nodes that fail,
// routes of the Internet that change, and anything that happens inside of
// tunnels. A World does not change after it is made and may be used from several
// goroutines; a chooser too, as long as no two renew entries of one client.
package sim
