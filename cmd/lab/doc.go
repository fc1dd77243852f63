// Command lab runs the whole of Safing on one machine, for people who want to
// try it or work on it. It is not shipped.
//
// The lab starts the real programs as processes of their own: a Port17
// network on loopback addresses (three authorities of which two have to agree on
// each map, three witnesses, seven nodes of four owners in five countries, a
// client), Stamp, and Portmaster. Portmaster guards only
// the control group in which `lab exec` starts a command, so that trying it
// cannot cut anyone off. A small name server stands in for the provider's: it
// answers every name below .test and hands the rest to the system's resolver.
//
//	lab up         start everything, print where to look, run until Ctrl-C
//	lab exec       run a command behind the lab's Portmaster
//	lab net        start the Port17 network alone, for measurements
//	lab soak       put load on one for a day, kill its nodes, check every byte
//	lab status     say what runs
//	lab correlate  simulate traffic analysis of Port17
//	lab clean      remove the lab's folder
//
// How it is built: a world (world.go) is the list of running processes
// (process.go); authorities.go and network.go start those of Port17, the nodes
// at their sites (site.go), up.go the rest. Where links have a delay, a loss or a
// rate, each of Port17's processes stands on a host of its own (hosts.go). soak.go
// is what measures a network that soak_chaos.go disturbs. What runs is written to
// state.json in the lab's folder, from which the other commands read it.
package main
