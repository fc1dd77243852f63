package tinker

import "fmt"

// A Hop is one responder of a route, and what its hello carries before the
// hello for the next one.
type Hop struct {
	Recipient
	Parameters []byte
}

// RouteOverhead returns how many bytes the first hello of a route is longer
// than all parameters and what follows the last hop's. The error wraps
// [ErrUnknownSuite].
func RouteOverhead(hops []Hop) (int, error) {
	total := 0
	for _, h := range hops {
		if _, err := h.Prekey.Suite.suite(); err != nil {
			return 0, err
		}
		total += h.Prekey.Suite.HelloOverhead()
	}
	return total, nil
}

// InitiateRoute makes a hello for each hop, and returns the first, which holds
// the others: each hop finds its parameters and behind them the hello for the
// next, the last one finds rest. The hello's size follows from the number of
// hops, their suites and parameters, and the length of rest; see
// [RouteOverhead] for how to choose that so that the hello fills a fixed
// number of cells.
func InitiateRoute(label string, hops []Hop, rest []byte) ([]*Initiator, []byte, error) {
	initiators := make([]*Initiator, len(hops))
	for i := len(hops) - 1; i >= 0; i-- {
		payload := append(append(make([]byte, 0, len(hops[i].Parameters)+len(rest)), hops[i].Parameters...), rest...)
		var err error
		if initiators[i], rest, err = Initiate(hops[i].Recipient, label, payload); err != nil {
			return nil, nil, fmt.Errorf("hop %d of the route: %w", i+1, err)
		}
	}
	return initiators, rest, nil
}
