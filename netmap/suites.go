package netmap

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"safing/tinker"
	"safing/tinker/policy"
)

// Verifiers returns the keys of the network's authorities.
func (n *Network) Verifiers() ([]note.Verifier, error) {
	verifiers := make([]note.Verifier, len(n.Authorities))
	for i, a := range n.Authorities {
		var err error
		if verifiers[i], err = note.NewVerifier(a.Key); err != nil {
			return nil, fmt.Errorf("authority key %q: %w", a.Key, err)
		}
	}
	return verifiers, nil
}

// defaultUntil is long after all that this build may see: a network without a
// policy goes on.
func defaultUntil() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }

// Floor returns which policies of suites members of the network take: those
// that as many of its authorities have signed as sign maps. Before the first,
// all suites of this build may be used, and the first is preferred.
func (n *Network) Floor() (policy.Floor, error) {
	verifiers, err := n.Verifiers()
	if err != nil {
		return policy.Floor{}, fmt.Errorf("floor of suite policies: %w", err)
	}
	return policy.Floor{
		Network: n.Name, Verifiers: verifiers, Threshold: n.Threshold,
		Default: tinker.Suites(), DefaultUntil: defaultUntil(),
	}, nil
}

// policyFile is the file in a member's folder that has the newest policy.
const policyFile = "policy"

// LoadPolicies returns the policies of suites that were seen, of which the newest
// is kept in the folder, which is made if need be.
func (n *Network) LoadPolicies(state string) (*policy.Policies, error) {
	floor, err := n.Floor()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("load suite policy: %w", err)
	}
	return policy.Load(policy.Config{Floor: floor, Path: filepath.Join(state, policyFile)})
}

// RecipientBy returns whom hellos for the node are made for, with its PrekeyBy.
func (n Node) RecipientBy(now time.Time, p *policy.Policies) (tinker.Recipient, error) {
	prekey, err := n.PrekeyBy(now, p)
	if err != nil {
		return tinker.Recipient{}, err
	}
	return tinker.Recipient{Identity: n.ID, Binding: n.Binding(), Prekey: prekey}, nil
}

// PrekeyBy returns, of the node's prekeys whose slot now is in, the newest of the
// suite that the policies like best. Without policies it is [Node.Prekey].
func (n Node) PrekeyBy(now time.Time, p *policy.Policies) (tinker.Prekey, error) {
	prekey, err := n.Prekey(now)
	if err != nil || p == nil {
		return prekey, err
	}
	var available []tinker.SuiteID
	newest := make(map[tinker.SuiteID]tinker.Prekey)
	for _, k := range n.Keys.Prekeys {
		if k.Check(now) == nil {
			available, newest[k.Suite] = append(available, k.Suite), k
		}
	}
	slices.Sort(available)
	suite, err := p.Best(slices.Compact(available))
	if err != nil {
		return tinker.Prekey{}, fmt.Errorf("no prekey of node %s may be used: %w", n.ID.Short(), err)
	}
	return newest[suite], nil
}
