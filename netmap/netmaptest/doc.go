// Package netmaptest makes maps of networks that there could be, for tests and
// benchmarks of what works on whole maps.
//
//	m := netmaptest.World(1, 10000)        // nodes of 400 owners in 60 countries
//	later := netmaptest.Hour(2, m)         // what it is an hour later
//	m = netmaptest.WithKeys(1, m, time.Now())
//	signed, err := netmaptest.Sign(m, signer) // as the newest leaf of a log
//
// The same seed always gives the same map. Nothing here is measured or true:
// countries lie anywhere, and distances are what follows from that.
package netmaptest
