package node

import (
	"fmt"
	"slices"

	"safing/tinker"
	"safing/tinker/policy"
)

// prekeys are a node's, of each suite that this build has. The network's policy
// says of which suites they are published, and hellos answered.
type prekeys struct {
	policies *policy.Policies // nil in tests: the first suite's are
	of       map[tinker.SuiteID]*tinker.Prekeys
}

func newPrekeys(c tinker.PrekeyConfig, p *policy.Policies) (*prekeys, error) {
	all := &prekeys{policies: p, of: make(map[tinker.SuiteID]*tinker.Prekeys)}
	if p != nil {
		c.Check = p.Check
	}
	for _, c.Suite = range tinker.Suites() {
		made, err := tinker.NewPrekeys(c)
		if err != nil {
			return nil, err
		}
		all.of[c.Suite] = made
	}
	return all, nil
}

// Respond implements link.Responder.
func (p *prekeys) Respond(label string, hello []byte) (*tinker.Response, error) {
	suite, err := tinker.HelloSuite(hello)
	if err != nil {
		return nil, fmt.Errorf("answer a hello: %w", err)
	}
	return p.of[suite].Respond(label, hello)
}

// Public returns the prekeys to publish, those of the best suite last: programs
// that don't know of policies take these.
func (p *prekeys) Public() (public []tinker.Prekey) {
	for _, suite := range slices.Backward(p.published()) {
		public = append(public, p.of[suite].Public()...)
	}
	return public
}

// published returns the suites of which there are prekeys for others, best first.
// Until the network has a policy that is the first one alone: each makes what
// everybody fetches longer.
func (p *prekeys) published() (suites []tinker.SuiteID) {
	if p.policies == nil {
		return tinker.Suites()[:1]
	}
	newest := p.policies.Newest()
	for _, r := range newest.Rules {
		if p.of[r.Suite] != nil && p.policies.Check(r.Suite) == nil {
			suites = append(suites, r.Suite)
		}
	}
	if newest.Version == 0 && len(suites) > 1 {
		return suites[:1]
	}
	return suites
}

// step says whether a session may go from one suite to another.
func (p *prekeys) step(from, to tinker.SuiteID) error {
	if p.policies == nil {
		if from != to {
			return policy.ErrNotListed
		}
		return nil
	}
	return p.policies.Step(from, to)
}

// Close forgets all private keys.
func (p *prekeys) Close() {
	for _, of := range p.of {
		of.Close()
	}
}

// publishSuites publishes other prekeys if the map's policy says so.
func (n *Node) publishSuites() {
	if is := n.keys.published(); !slices.Equal(is, n.suites) {
		n.config.Log.Info("the network's policy says of which suites prekeys are published", "suites", fmt.Sprint(is))
		n.suites = is
		n.touch()
	}
}
