// Package wan joins network namespaces over links with a delay, a loss and a
// rate, for tests and measurements: netem in user space.
//
//	s := wan.New(wan.Link{Delay: 25 * time.Millisecond, Loss: 0.001, Rate: 100e6}, seed)
//	a, err := s.Add(netip.MustParseAddr("10.1.0.1"))
//	b, err := s.Add(netip.MustParseAddr("10.2.0.1"))
//
// Each host is a namespace ([netns.Namespace]) with one device, wan, that
// leads to all others, and one or more addresses. Every pair of hosts has a link of its own; its two
// directions don't share a rate. What is lost is chosen at random, from a
// sequence that the seed and the two addresses give, so that the same packets
// in the same order meet the same fate.
//
// All methods may be called from any goroutine. It carries IPv4 alone, needs
// root and Linux, and is not for shipped programs.
package wan
