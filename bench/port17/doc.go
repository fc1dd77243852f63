// Command port17 measures Port17 against Tor, and both against what they
// cannot reach: a direct connection and three plain forwarders. It is not
// shipped; README.md says what it measures and how.
//
//	bench-port17 --rounds 5 --window 4s --parts loop,delayed,memory
//
// Everything runs in network namespaces of its own, so it needs root, and
// vanishes with the program:
//
//	arena       the hosts: addresses in one namespace, or a namespace for each
//	            host and a switch that delays their packets (safing/internal/wan)
//	contestant  one way to the destination and the processes that carry it
//	            (chain.go, tor.go, port17.go)
//	load        a process that generates traffic in the client's namespace
//	            (load.go), and the destination (serve.go)
//	bench       rounds over measures and contestants (measure.go and the parts
//	            loop.go, delayed.go, memory.go), and their tables (report.go)
//
// The program starts itself again for the roles load, serve, forward and cells.
package main
