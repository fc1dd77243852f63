package netmap

import (
	"fmt"
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
