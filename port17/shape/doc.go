// Package shape decides when a circuit's cells leave, so that the times at which
// they are seen say little: a node that mixes delays them, and whoever pads puts
// cells between them that mean nothing.
//
//	Add(cells) ──► delay ──► shape ──► Take: cells, padding
//
// Delays are exponential, as in a Poisson mix (Piotrowska et al., The Loopix
// Anonymity System, USENIX Security 2017). A layer of an onion opens in order
// only, so cells never overtake one another: whenever one is due, the oldest
// leaves. As cells look alike, the times at which they leave are the same as if
// each had waited for itself; only that a delayed cell is always behind the
// earlier ones of its circuit.
//
// A [Shape] says how a circuit is padded:
//
//   - constant: one cell leaves in every interval, be it padding or not;
//   - adaptive: cells leave at once, and a state machine puts padding into the
//     gaps between them (Shmatikov and Wang, Timing Analysis in Low-Latency Mix
//     Networks, ESORICS 2006; Juarez et al., Toward an Efficient Website
//     Fingerprinting Defense, ESORICS 2016, called WTF-PAD). Its histograms are
//     data, as in Maybenot (Pulls and Witwer, WPES 2023).
//
// A [Gate] has no clock, no timer and no cells: it is told the time, and says how
// many cells leave now and when it has to be asked again. So nodes, clients and
// the simulator of port17/correlation run the same code. What that finds is in
// docs/traffic-analysis.md.
//
// A Gate belongs to one goroutine at a time. Shapes are values.
package shape
