package authority

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"safing/netmap"
)

// maxAuthorities bounds how many sign together: a vote takes a round for each
// that may be hostile.
const maxAuthorities = 16

// A quorum is who makes the maps of a network together.
type quorum struct {
	network   string
	threshold int // k: how many have to agree
	verifiers map[uint32]note.Verifier
	urls      map[uint32]string
}

// newQuorum refuses a network in which two maps could be agreed on at once.
func newQuorum(n *netmap.Network) (*quorum, error) {
	size := len(n.Authorities)
	if size > maxAuthorities {
		return nil, fmt.Errorf("the network has %d authorities, at most %d are possible", size, maxAuthorities)
	}
	if n.Threshold > size || 2*n.Threshold <= size {
		return nil, fmt.Errorf("the threshold is %d of %d authorities: more than half of them have to agree", n.Threshold, size)
	}
	q := &quorum{
		network: n.Name, threshold: n.Threshold,
		verifiers: make(map[uint32]note.Verifier), urls: make(map[uint32]string),
	}
	for _, a := range n.Authorities {
		v, err := note.NewVerifier(a.Key)
		if err != nil {
			return nil, fmt.Errorf("authority key %q: %w", a.Key, err)
		}
		if v.Name() != n.Name {
			return nil, fmt.Errorf("the authority at %s signs for the network %q, not %q", a.URL, v.Name(), n.Name)
		}
		if _, twice := q.verifiers[v.KeyHash()]; twice {
			return nil, fmt.Errorf("two authorities have keys with the same hash %08x: make another key", v.KeyHash())
		}
		q.verifiers[v.KeyHash()], q.urls[v.KeyHash()] = v, a.URL
	}
	return q, nil
}

// faults returns how many of the authorities may be hostile or silent: f = n-k.
func (q *quorum) faults() int { return len(q.verifiers) - q.threshold }

// rounds returns how many rounds a vote takes: one more than may be hostile.
func (q *quorum) rounds() int { return q.faults() + 1 }

// Verifier implements note.Verifiers.
func (q *quorum) Verifier(name string, hash uint32) (note.Verifier, error) {
	if v, ok := q.verifiers[hash]; ok && v.Name() == name {
		return v, nil
	}
	return nil, &note.UnknownVerifierError{Name: name, KeyHash: hash}
}

// open verifies a note. What it returns is signed by at least one of the
// authorities, and by none of them twice.
func (q *quorum) open(signed []byte) (*note.Note, error) {
	n, err := note.Open(signed, q)
	if err != nil {
		return nil, fmt.Errorf("open note of an authority: %w", err)
	}
	if len(n.UnverifiedSigs) > 0 {
		return nil, errors.New("open note of an authority: somebody else has signed it too")
	}
	return n, nil
}
