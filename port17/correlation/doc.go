// Package correlation measures how well somebody who sees both ends of circuits
// can tell which belong together, and what it costs to make that hard.
//
//	workload ──► flows through hops (shape.Gate) ──► what is seen at both ends
//	                                                  ──► scores of all pairs ──► true positives
//
// The flows are those of people who read web sites. Each goes through the gates
// that real nodes and clients use, in a model with a clock of its own: link
// latencies with a little jitter, servers that answer at their speed, and nothing
// else. So there is less noise than in any real network, which suits the
// attacker.
//
// The attacker knows the defence and its parameters, sees when cells pass, and
// compares every flow at one end with every flow at the other. Threshold by
// threshold, a score that is good enough for one wrong pair in a hundred, or in a
// thousand, finds some part of the right ones: the rate of true positives that
// [Run] returns.
//
// docs/traffic-analysis.md has results and says what they mean. Everything may
// be called from any goroutine.
package correlation
